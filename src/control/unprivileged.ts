// Who the workers of root are, so that what they need can be given to them.

/** nobody and nogroup. */
export const UNPRIVILEGED = { uid: 65_534, gid: 65_534 };
