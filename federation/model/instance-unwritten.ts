/** An instance whose proxy cannot write the newest of what it knows to its disk: it goes on, and a restart of it would begin with what it had before. */
export interface InstanceUnwritten {
  readonly instance: string;
  readonly reason: string;
}
