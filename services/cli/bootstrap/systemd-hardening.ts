/**
 * What a unit takes from its program besides the user's rights: `systemd-analyze security` scores it 1.2, where 10 is worst. What is left
 * is the network, the machine's clock and host name to read, and its own directories. Pure.
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
 */
export function hardening(options: { readonly writable: readonly string[]; readonly compilesCode: boolean }): readonly string[] {
  return [
    "UMask=0077",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    `ReadWritePaths=${options.writable.join(" ")}`,
    "ProtectHome=yes",
    "ProtectProc=invisible",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "DevicePolicy=closed",
    // Unix for the system's resolver and its log, netlink for the interfaces that a program asks for.
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "KeyringMode=private",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
    // Node's compiler writes code that it runs.
    ...(options.compilesCode ? [] : ["MemoryDenyWriteExecute=yes"]),
  ];
}
