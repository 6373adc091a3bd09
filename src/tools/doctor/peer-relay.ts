import { openAdmin } from '../../service/admin-target.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import type { PeerRelayStatus } from '../../service/peer-relay/page.ts';
import type { UseReport } from '../../service/peer-relay/why.ts';
import { check, type Check } from './check.ts';
import type { ExaminedRelay } from './examined-relay.ts';
import { localIp } from './listeners.ts';

const STATUS = { met: 'ok', unmet: 'failed', unknown: 'skipped' } as const;

/**
 * Asks the running relay whether its peer relay is ready in each tailnet. For the nodes that the user named, it also
 * asks which conditions for its use are met.
 */
export async function peerRelayChecks(examined: ExaminedRelay): Promise<Check[]> {
  const { listen, socket } = examined.config.admin;
  if (socket === undefined && (listen === null || listen.port === 0)) {
    const text = 'the running relay cannot be asked: admin is off or has port 0';
    return [check('peer-relay', 'skipped', text, { fix: 'Set admin to an address such as 127.0.0.1:9090.' })];
  }
  const where = socket ?? formatHostPort(localIp(listen!), listen!.port);
  try {
    const { tailnets } = (await ask('/peer-relay?format=json', examined)) as PeerRelayStatus;
    const [node, other] = examined.relayNodes;
    return [...tailnets.flatMap(tailnetChecks), ...(node === undefined ? [] : await useChecks(node, other, examined))];
  } catch {
    return [
      check('peer-relay', 'skipped', `the relay at ${where} does not report on its peer relay`, {
        fix: 'Start the relay with this configuration.',
      }),
    ];
  }
}

async function ask(path: string, examined: ExaminedRelay): Promise<unknown> {
  const { status, body } = await openAdmin(examined.config.admin, examined.timeoutMs)!.get(path);
  if (status !== 200) throw new Error(`${path} answers ${status}`);
  return JSON.parse(body.toString('utf8'));
}

function tailnetChecks({ name, isReady, problems, warning }: PeerRelayStatus['tailnets'][number]): Check[] {
  const failed = problems.map(({ code, problem, hint }) =>
    check('peer-relay', 'failed', `tailnet ${name}: ${problem}`, { fix: hint, details: { code } }),
  );
  if (failed.length > 0) return failed;
  if (warning !== null) return [check('peer-relay', 'warning', `tailnet ${name}: ${warning}`)];
  return isReady
    ? [check('peer-relay', 'ok', `tailnet ${name}: ready`)]
    : [check('peer-relay', 'warning', `tailnet ${name}: there is no network map yet`)];
}

async function useChecks(node: string, other: string | undefined, examined: ExaminedRelay): Promise<Check[]> {
  const query = new URLSearchParams({ node, ...(other === undefined ? {} : { other }), format: 'json' });
  const reports = (await ask(`/peer-relay/why?${query.toString()}`, examined)) as UseReport[];
  return reports.flatMap(({ tailnet, conditions }) =>
    conditions
      .filter(({ about }) => about !== 'relay')
      .map(({ code, about, status, text, hint }) =>
        check('peer-relay-use', STATUS[status], `tailnet ${tailnet}, ${about}: ${text}`, {
          fix: status === 'met' ? undefined : (hint ?? undefined),
          details: { code },
        }),
      ),
  );
}
