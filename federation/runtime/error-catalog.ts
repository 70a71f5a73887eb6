/** What a code means, and what the reader can do about it. */
export interface ErrorEntry {
  readonly meaning: string;
  readonly action: string;
}

/**
 * Every stable error code, in alphabetical order. A code is never renamed and never reused; docs/errors.md is
 * written from this table and a test compares the two.
 */
export const errorCatalog = {
  ATOLL_ABORTED: {
    meaning: "The operation was cancelled because its owner is stopping.",
    action: "Nothing; it is not a fault. Retry after the restart.",
  },
  ATOLL_ADMIN_FORBIDDEN: {
    meaning: "The caller's identity may not do this through the admin API.",
    action: "Use a context whose identity has the role, or ask whoever owns the federation.",
  },
  ATOLL_ADMIN_OVERLOADED: {
    meaning: "The admin API does as much as it can, or holds as many watches, or as many questions that wait, as it allows. Nothing was done of what was asked.",
    action: "Ask again after the time that the answer names (Retry-After), which Atoll's own tools do by themselves; `atoll check` says of which plane too much is asked. Close watches that nobody reads; a question can be asked without waiting.",
  },
  ATOLL_ADMIN_UNAUTHENTICATED: {
    meaning: "The admin API does not know who calls: neither a certificate of the federation nor a token that it takes.",
    action: "The message says what was wrong with the token; get a fresh one for this audience, or use a client certificate.",
  },
  ATOLL_ADMIN_UNAVAILABLE: {
    meaning: "The admin API could not be reached, or its server is not who the context expects.",
    action: "Check the address, that the plane runs, and that the context belongs to this federation.",
  },
  ATOLL_AUDIT_UNAVAILABLE: {
    meaning: "The audit trail cannot be written, and nothing is changed that it would not show.",
    action: "Look at the plane's data directory: space, permissions, and the plane's log. Reads and traffic go on.",
  },
  ATOLL_BACKUP_FAILED: {
    meaning: "A backup that a plane was to make by itself did not come about.",
    action: "The message says why; the plane tries again each minute, and `atoll check` says so for as long as it fails. Backups from before stay.",
  },
  ATOLL_BACKUP_INVALID: {
    meaning: "A file is no backup of a plane's store that can be used: damaged, of another version, or encrypted with another passphrase or for another key.",
    action: "The message says what is wrong with it; use another backup, or the passphrase or key that it was made for. Nothing was changed.",
  },
  ATOLL_BUNDLE_INVALID: {
    meaning: "A trust bundle document cannot be used.",
    action: "The message names the entry; correct the bundle at its source. The last good bundle stays in use.",
  },
  ATOLL_BUS_MESSAGE_INVALID: {
    meaning: "A subject, a pattern or a payload breaks the rules or the bounds of the message bus.",
    action: "This is a fault of the sender; report it with the subject that the message names.",
  },
  ATOLL_BUS_OVERLOADED: {
    meaning: "The outgoing buffer of the message bus is full.",
    action: "Look at atoll_bus_dropped_total and the connection to the bus; lost frames heal by digest.",
  },
  ATOLL_BUS_TIMEOUT: {
    meaning: "A request over the message bus got no answer in time.",
    action: "Check that the other plane runs and that both reach the bus.",
  },
  ATOLL_BUS_UNAVAILABLE: {
    meaning: "The message bus cannot be reached, or nobody answers on that subject.",
    action: "Check the bus process and the address; traffic goes on without it.",
  },
  ATOLL_CERTIFICATE_INVALID: {
    meaning: "A certificate or key is not what it has to be.",
    action: "The message names the rule that it breaks; have it issued again.",
  },
  ATOLL_CONFIG_INVALID: {
    meaning: "A process was started with a configuration that cannot be used.",
    action: "Correct every field that the message lists; all faults are reported together.",
  },
  ATOLL_CONTROL_REFUSED: {
    meaning: "A local process refused a control request.",
    action: "The message says why; check that CLI and processes are of the same version.",
  },
  ATOLL_CONTROL_UNAVAILABLE: {
    meaning: "A process that is controlled over a local socket does not answer.",
    action: "It is not running or is just stopping: look at `atoll status` and its log file.",
  },
  ATOLL_CSR_INVALID: {
    meaning: "A certificate request cannot be used: not PKCS#10, not P-256, or not signed by its own key.",
    action: "Create the request with a P-256 key and sign it with ecdsa-with-SHA256.",
  },
  ATOLL_DRILL_REFUSED: {
    meaning: "A drill was not begun because nobody is there to be watched, or nobody answers the users although hardly any of them call.",
    action: "See `atoll status` for what is dead or unreachable; a host that is only slow or busy is no reason.",
  },
  ATOLL_ENGINE_UNAVAILABLE: {
    meaning: "A real engine (etcd or nats-server) could not be found, fetched or started.",
    action: "Install it so that it is on PATH, or leave it out of --engines; the message names what was tried.",
  },
  ATOLL_EVIDENCE_UNAVAILABLE: {
    meaning: "The document by which a process is to be let in without a token cannot be had: neither from the orchestrator's file nor from the machine's metadata service.",
    action: "Check that the file is mounted, or that the process runs on a machine of that cloud and its metadata service is open to it; joining is tried again by itself.",
  },
  ATOLL_FEDERATION_NOT_RUNNING: {
    meaning: "No federation of that name runs on this machine.",
    action: "Start one with `atoll up`, or name another with --name or --data.",
  },
  ATOLL_FEDERATION_RUNNING: {
    meaning: "Processes of a federation of that name are already there.",
    action: "Use them, end them with `atoll down`, or choose another --name.",
  },
  ATOLL_INTERNAL: {
    meaning: "The server failed in a way that it did not foresee.",
    action: "Look into its log for the request; report it as a defect.",
  },
  ATOLL_JOIN_OVERLOADED: {
    meaning: "More attempts to join came than a plane takes, all in all or from one address; or one workload asks for more JWT-SVIDs than it may.",
    action: "Wait a minute and try again; the token is not used up. Look at atoll_join_refused_total if nobody of yours is joining.",
  },
  ATOLL_JOIN_TOKEN_INVALID: {
    meaning: "The join token cannot be read.",
    action: "Copy the whole token again, or create a new one.",
  },
  ATOLL_JOIN_TOKEN_REFUSED: {
    meaning: "The join token, or the attested document in its place, cannot be used.",
    action: "Ask for a new token. It was used up, has expired or was revoked, or is not for this purpose or address; the log of the plane says which, and what is wrong with a document (docs/joining.md).",
  },
  ATOLL_KEY_FILE_INVALID: {
    meaning: "A file that holds a key or a passphrase cannot be used: it is missing, is not what it has to be, or others than its owner may read it.",
    action: "The message names the file and what is wrong with it; give it to the user that runs the program, with mode 0600.",
  },
  ATOLL_NAME_INVALID: {
    meaning: "A name does not have the form that its kind asks for.",
    action: "The message says what the form is.",
  },
  ATOLL_NAME_UNRESOLVED: {
    meaning: "A DNS name under which something is to be reached does not resolve.",
    action: "Check the name and the resolver of the host that says so; `atoll status` lists what each name stands for where it is dialled. Addresses that it stood for last stay in use, and so do other gateways.",
  },
  ATOLL_NOT_FOUND: {
    meaning: "There is no such resource or path.",
    action: "Check kind, namespace and name; list the kind to see what exists.",
  },
  ATOLL_PEER_UNAVAILABLE: {
    meaning: "The other side of a TLS connection cannot be reached, or broke the connection off.",
    action: "Check the address and that the peer runs and trusts this side.",
  },
  ATOLL_PEER_UNVERIFIED: {
    meaning: "The other side of a TLS connection is not who it should be.",
    action: "Compare the identity in the message with the expected one; check the trust bundle of its trust domain.",
  },
  ATOLL_PLANE_DOUBLED: {
    meaning: "Two processes speak under one plane's name: its data directory was copied, and both run.",
    action: "Neither is written to or believed until one is left. Stop the copy, and the other goes on a minute later; or name the one that counts with `atoll reconcile PLANE --keep`, which decides at the one that answers at the plane's address.",
  },
  ATOLL_PORT_TAKEN: {
    meaning: "A listening port is in use by another process.",
    action: "Stop the process that the message names, or choose another port (for `atoll up`: --port-base).",
  },
  ATOLL_PROCESS_FAILED: {
    meaning: "A process of the federation ended or did not become ready.",
    action: "Read the end of its log, which the message shows, and the file it names.",
  },
  ATOLL_REFERENCES_UNRESOLVED: {
    meaning: "What was to be applied with --strict names what does not exist, or a policy is for a service that another one is for.",
    action: "Nothing was written. Correct the names that the message lists, apply what they name first or with it, or leave --strict out where it is to come later.",
  },
  ATOLL_REQUEST_INVALID: {
    meaning: "A request to the admin API cannot be understood.",
    action: "The problem's faults name each field, what was found and what was expected.",
  },
  ATOLL_RESOURCE_INVALID: {
    meaning: "A resource does not have the form that its kind asks for.",
    action: "The faults name each place, what was found there and what was expected.",
  },
  ATOLL_RESTORE_REFUSED: {
    meaning: "A backup is not restored here: it is of another plane or another federation, or the plane runs.",
    action: "Take the backup of this very plane; stop the plane and its replicas first. Nothing was changed.",
  },
  ATOLL_ROLE_CLOSED: {
    meaning: "A cluster's plane was asked for what it does by a key whose files are damaged or missing; it does everything else.",
    action: "The message, and `atoll check`, name the files: put them back from a copy, which is noticed without a restart. Nothing was done, and no token was used up.",
  },
  ATOLL_ROLLBACK_REFUSED: {
    meaning: "A right is not put back by a rollback: what was revoked stays revoked, and who may do what is approved anew.",
    action: "Write the Relationship or TrustDomain that is wanted, and have both sides approve it.",
  },
  ATOLL_ROLLOUT_INCOMPLETE: {
    meaning: "A write is stored, and not everybody whom it concerns has it.",
    action: "Write nothing again: it arrives by itself at who can be reached. `atoll check` says what is wrong with who cannot, and `atoll wait` waits again.",
  },
  ATOLL_ROTATION_OUT_OF_STEP: {
    meaning: "The rotation of a trust domain's root is at another step than the one that was asked for. Nothing was changed.",
    action: "See where it is with `atoll trust status`; go on with a rotation that is on its way by `atoll trust rotate TRUST-DOMAIN --resume`.",
  },
  ATOLL_SIGNATURE_INVALID: {
    meaning: "A signature on a replicated object or heartbeat does not match its content.",
    action: "Nothing was applied. Look at who can publish on that subject; a damaged message is sent again by itself.",
  },
  ATOLL_SIMULATION_REFUSED: {
    meaning: "What is imagined to be lost would leave a service without anybody to serve it, or with less than was asked for.",
    action: "Look at the places in the message; add instances elsewhere first, or say that it may be so (`may_be_cut_off`, `capacity_left_min`).",
  },
  ATOLL_SOCKET_TAKEN: {
    meaning: "The file of a socket is not replaced: another process answers on it, or it is no socket.",
    action: "Stop the process that answers there, move the file away, or choose another path. A socket that a killed process left behind is replaced without a word.",
  },
  ATOLL_SOCKET_UNSAFE: {
    meaning: "A socket is not opened in a directory where others could put one of theirs in its place.",
    action: "Take the right to write there from group and others (`chmod go-w DIRECTORY`), or choose a directory of the process's own user.",
  },
  ATOLL_SPIFFE_ID_INVALID: {
    meaning: "A SPIFFE ID or trust domain name does not follow the grammar.",
    action: "Use lower-case DNS-safe trust domains and paths of letters, digits, dot, dash and underscore.",
  },
  ATOLL_STORE_BEHIND: {
    meaning: "The store of a plane does not hold what the plane, or another one, has seen in it: it was restored, exchanged or lost.",
    action: "Nothing is written or published until somebody decides: `atoll reconcile` shows what is known; --keep goes on with the store as it is, --take-newer reads back what other planes hold.",
  },
  ATOLL_STORE_CONFLICT: {
    meaning: "The value changed since it was read, so the write was refused.",
    action: "Read again, apply the change to the newer value, and write with its revision.",
  },
  ATOLL_STORE_CORRUPT: {
    meaning: "A store file could not be read as what it should be.",
    action: "The file was moved aside, not deleted; restore a backup or let the state be learned again.",
  },
  ATOLL_STORE_FULL: {
    meaning: "A bounded collection in the store holds as many entries as it may.",
    action: "Remove what is no longer needed, or raise the bound.",
  },
  ATOLL_STORE_LEASE_LOST: {
    meaning: "A write was tied to a lease that has ended.",
    action: "Grant a new lease and write again; whoever held the old one must act as if its keys were gone.",
  },
  ATOLL_STORE_REQUEST_INVALID: {
    meaning: "A key, a value or a transaction breaks the bounds of the store.",
    action: "This is a fault of the caller; split the transaction or shorten the value.",
  },
  ATOLL_STORE_UNAVAILABLE: {
    meaning: "The store did not answer within its bound.",
    action: "Check the etcd members or the disk; nothing was acknowledged. Reads go on from what the plane knew when its store answered last, and say so.",
  },
  ATOLL_STORE_UNWRITABLE: {
    meaning: "The store answers and takes no writes: its disk or its quota is full, or its file cannot be written.",
    action: "Nothing was written. Give the store's disk room, or etcd a larger quota (`atoll check` names the plane): writes are taken again by themselves. Reads and proxies go on meanwhile.",
  },
  ATOLL_TERMS_DIFFER: {
    meaning: "A relationship proposes other terms, where it was to be approved, than those that were shown to whoever approves.",
    action: "Nothing was signed. Read the terms again (`atoll relationship show NAME`), and approve those; where the planes go on differing, the global plane tells its readers and the signer different things.",
  },
  ATOLL_TIMEOUT: {
    meaning: "An operation did not finish within its bound.",
    action: "The message names the operation and the bound.",
  },
  ATOLL_TOKEN_REFUSED: {
    meaning: "A signed token (JWT) is not one that a configured issuer, or for a JWT-SVID its subject's trust domain, made for this audience and that still holds.",
    action: "The message names the claim or the rule; compare issuer, audience and keys with the plane's configuration, or with what the Workload API tells, and get a fresh token.",
  },
  ATOLL_USAGE: {
    meaning: "The command was called with arguments that do not fit.",
    action: "The message says which; `atoll help <command>` lists them.",
  },
  ATOLL_WIRE_INVALID: {
    meaning: "A message from another process could not be read.",
    action: "It was dropped and counted. Check that both sides run versions at most one release apart.",
  },
  ATOLL_WIRE_TOO_LARGE: {
    meaning: "A message or a list in it is larger than what is read.",
    action: "Make the resource smaller, e.g. split a service; the message names the bound.",
  },
  ATOLL_WIRE_VERSION: {
    meaning: "A message has a version that this program does not understand.",
    action: "Upgrade the older side; versions N and N-1 understand each other.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;

/** A stable error code; see `errorCatalog`. */
export type ErrorCode = keyof typeof errorCatalog;
