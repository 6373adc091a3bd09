import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { stringify } from 'yaml';
import { createProgram } from '../../src/cli/program.ts';
import { NodeState } from '../../src/tailnet/node-state.ts';
import { FakeControl } from '../tailnet/fake-control.ts';
import { stateDirectory } from '../tailnet/support.ts';

async function run(...argv: string[]): Promise<string> {
  const program = await createProgram(argv);
  let output = '';
  const collect = { writeOut: (text: string) => void (output += text) };
  for (const command of [program, ...program.commands.flatMap((one) => [one, ...one.commands])])
    command.configureOutput(collect);
  await program.parseAsync(argv, { from: 'user' });
  return output;
}

describe('towpath relay', () => {
  it('logs in and out, and names a tailnet that is not configured', async (t) => {
    const control = await FakeControl.start();
    t.after(() => control.stop());
    const folder = stateDirectory(t);
    const file = path.join(folder, 'towpath.yaml');
    writeFileSync(
      file,
      stringify({ peerRelay: { stateDirectory: 'state', tailnets: [{ name: 'home', controlUrl: control.url }] } }),
    );
    control.behaviour.register = (body) =>
      body['Followup'] === '' ? { AuthURL: 'https://login.example.com/x' } : { MachineAuthorized: true };
    const text = await run('relay', 'login', '--config', file);
    assert.match(text, /open this URL to let the relay in: https:\/\/login\.example\.com\/x\n.*logged in as nodekey:/s);
    assert.equal(NodeState.peek(path.join(folder, 'state'), 'home')?.isRegistered, true);
    control.behaviour.register = () => ({ MachineAuthorized: true });
    assert.match(await run('relay', 'logout', 'home', '--config', file), /home: logged out/);
    assert.equal(NodeState.peek(path.join(folder, 'state'), 'home')?.isRegistered, false);
    await assert.rejects(run('relay', 'logout', 'work', '--config', file), {
      code: 'TOWPATH_USAGE_TAILNET',
      message: /no tailnet work/,
    });
  });

  it('logs in to the other tailnets when one refuses, and fails', async (t) => {
    const [refusing, control] = [await FakeControl.start(), await FakeControl.start()];
    t.after(() => Promise.all([refusing.stop(), control.stop()]));
    const folder = stateDirectory(t);
    const file = path.join(folder, 'towpath.yaml');
    const tailnets = [
      { name: 'work', controlUrl: refusing.url },
      { name: 'home', controlUrl: control.url },
    ];
    writeFileSync(file, stringify({ peerRelay: { stateDirectory: 'state', tailnets } }));
    refusing.behaviour.register = () => ({ Error: 'invalid auth key' });
    control.behaviour.register = () => ({ MachineAuthorized: true });
    await assert.rejects(run('relay', 'login', '--config', file), {
      code: 'TOWPATH_TAILNET_REFUSED',
      message: /^tailnet work: .*invalid auth key/,
    });
    assert.equal(NodeState.peek(path.join(folder, 'state'), 'home')?.isRegistered, true);
  });

  it('shows the status that the administration gives, and says when it gives none', async (t) => {
    const server = createServer((request, response) => response.end(`tailnet home: ready ${request.url}\n`));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const file = path.join(stateDirectory(t), 'towpath.yaml');
    writeFileSync(file, stringify({ admin: `127.0.0.1:${(server.address() as AddressInfo).port}` }));
    assert.equal(await run('relay', 'status', '--config', file), 'tailnet home: ready /peer-relay\n');
    assert.match(await run('relay', 'status', '--json', '--config', file), /format=json/);
    assert.match(await run('relay', 'why', 'a', 'b', '--config', file), /peer-relay\/why\?node=a&other=b\n/);
    assert.match(await run('relay', 'why', 'a b', '--json', '--config', file), /why\?node=a\+b&format=json\n/);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await assert.rejects(run('relay', 'status', '--config', file), { code: 'TOWPATH_ADMIN_UNREACHABLE' });
    writeFileSync(file, stringify({ admin: 'off' }));
    await assert.rejects(run('relay', 'status', '--config', file), { code: 'TOWPATH_USAGE_ADMIN' });
  });
});
