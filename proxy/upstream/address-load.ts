/** Requests on the way to one address, over all pools that lead there. */
export class AddressLoad {
  inFlight = 0;
}
