/** What is known of one address, over all pools that lead there. */
export class AddressLoad {
  /** Requests on the way to it. */
  inFlight = 0;
  /** Its gateway has announced its end: requests go elsewhere where they can. */
  leaving = false;
}
