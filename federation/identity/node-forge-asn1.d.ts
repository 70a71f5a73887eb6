/** ASN.1 alone, without the rest of the library, of which nothing is used: a fifth of its code, and of the time to read it. */
declare module "node-forge/lib/asn1.js" {
  import forge from "node-forge";

  const asn1: typeof forge.asn1;
  export default asn1;
}
