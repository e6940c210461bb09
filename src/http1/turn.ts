// Who may speak next once an exchange has ended, as tables that can be read: may the client send
// another request on its connection, and may another request go to the backend on its own.
// RFC 9112 9.3 and 9.6.

/** What is known when the response has ended. */
export interface ExchangeEnd {
  /** The whole request went to the backend. False: the answer came early. */
  readonly isRequestSent: boolean;
  /** The client would keep its connection, and was not told otherwise. */
  readonly isClientPersistent: boolean;
  /** The backend would keep its connection. */
  readonly isBackendPersistent: boolean;
  /** Bytes came after the response: they belong to no request. */
  readonly hasExtraBytes: boolean;
}

//  request sent | client persistent || client may speak
//  yes          | yes               || yes
//  otherwise                        || no: what it still sends is the rest of a body nobody reads
export function mayClientSpeak(end: Pick<ExchangeEnd, "isRequestSent" | "isClientPersistent">): boolean {
  return end.isRequestSent && end.isClientPersistent;
}

//  request sent | backend persistent | extra bytes || the connection may be reused
//  yes          | yes                | no          || yes
//  otherwise                                       || no
export function mayReuseBackend(
  end: Pick<ExchangeEnd, "isRequestSent" | "isBackendPersistent" | "hasExtraBytes">,
): boolean {
  return end.isRequestSent && end.isBackendPersistent && !end.hasExtraBytes;
}
