import { addressField, defaultField, optionalField, parsedField, portField, stringField, variantField, type ConfigOf } from "#federation/runtime/config.ts";

const pathField = parsedField(stringField(), (path) => {
  if (!path.startsWith("/")) throw new Error("expected an absolute path");
  return path;
});

const listening = {
  /** Absent: where the plane's other ports listen. */
  address: optionalField(addressField),
  port: defaultField(portField, 7412),
};

/** How a plane serves its trust domain's bundle: by the profiles of the SPIFFE Federation standard, section 5.2. */
export const bundleEndpointField = variantField("profile", {
  https_spiffe: listening,
  https_web: {
    ...listening,
    /** PEM, the endpoint's own certificate first. */
    certificateFile: pathField,
    /** PEM, without a passphrase, for its owner alone. */
    keyFile: pathField,
  },
});
export type BundleEndpointConfig = ConfigOf<{ endpoint: typeof bundleEndpointField }>["endpoint"];
