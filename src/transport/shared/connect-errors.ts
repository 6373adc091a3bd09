import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import { openSslHint } from '../../base/openssl-text.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import type { ConnectOptions } from '../port.ts';

/** How far a connect got. */
export interface DialProgress {
  readonly phase: 'DNS and TCP' | 'TLS';
  readonly timedOut: boolean;
}

/** Says in one sentence why a connection failed. */
export function connectError(options: ConnectOptions, dial: DialProgress, cause: unknown): TowpathError {
  if (cause instanceof TowpathError) return cause;
  const where = formatHostPort(options.host, options.port);
  if (dial.timedOut) {
    return new TowpathError(
      'TOWPATH_CONNECT_TIMEOUT',
      `No connection to ${where} within ${options.timeoutMs} ms; it got as far as ${dial.phase}.`,
      { hint: 'A firewall that drops packets, or a port that does not speak TLS, looks like this.', cause },
    );
  }
  const code = systemErrorCode(cause);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code.startsWith('EAI_')) {
    return new TowpathError('TOWPATH_CONNECT_DNS', `The name ${options.host} could not be resolved: ${code}.`, {
      hint: 'Check the spelling and the DNS server of this machine.',
      cause,
    });
  }
  if (dial.phase === 'TLS') {
    const hint = openSslHint(String(cause));
    return new TowpathError('TOWPATH_CONNECT_TLS', `TLS with ${where} failed: ${errorMessage(cause)}.`, {
      ...(hint === undefined ? {} : { hint }),
      cause,
    });
  }
  return new TowpathError('TOWPATH_CONNECT_TCP', `No TCP connection to ${where}: ${tcpProblem(cause)}.`, { cause });
}

/** With several addresses Node reports an AggregateError without a message of its own. */
function tcpProblem(cause: unknown): string {
  if (!(cause instanceof AggregateError)) return errorMessage(cause);
  return cause.errors.map(errorMessage).join('; ');
}
