import { absolutePathField, addressField, defaultField, optionalField, portField, variantField, type ConfigOf } from "#federation/runtime/config.ts";

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
    certificateFile: absolutePathField,
    /** PEM, without a passphrase, for its owner alone. */
    keyFile: absolutePathField,
  },
});
export type BundleEndpointConfig = ConfigOf<{ endpoint: typeof bundleEndpointField }>["endpoint"];
