/**
 * A relay as a process of its own for `run.ts`: `relay.ts FOLDER`, with its configuration in `towpath.yaml`. It prints one line
 * of JSON with the ports and the pin when it has started, and ends when its standard input ends.
 */
import path from 'node:path';
import { pino } from 'pino';
import { loadConfig } from '../../src/config/load.ts';
import { Service } from '../../src/service/service.ts';
import { transport } from '../../src/transport/runtime.ts';

const folder = process.argv[2] ?? '';
const { config } = loadConfig({ file: path.join(folder, 'towpath.yaml') });
const service = new Service(config, transport, pino({ level: 'info' }, process.stderr));
await service.start();
const { derp, admin } = service.addresses;
const pin = service.certificate.info().pinSha256;
process.stdout.write(`${JSON.stringify({ port: derp[0]!.port, admin: admin?.port ?? 0, pin })}\n`);
process.stdin.resume().on('end', () => void service.close().then(() => process.exit(0)));
