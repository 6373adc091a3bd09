/** Tests a kernel without IPv6, which refuses every socket of this family. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, suite, test } from 'node:test';
import { RelayProcess } from './relay-process.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-no-ipv6-'));
after(() => rmSync(folder, { recursive: true }));

/** Refuses IPv6 sockets as such a kernel does; Bun opens its sockets through libc too. */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
int socket(int family, int type, int protocol) {
  if (family == AF_INET6) { errno = EAFNOSUPPORT; return -1; }
  return ((int (*)(int, int, int))dlsym(RTLD_NEXT, "socket"))(family, type, protocol);
}
`;

function buildShim(): string | null {
  const source = path.join(folder, 'shim.c');
  const library = path.join(folder, 'shim.so');
  writeFileSync(source, SHIM);
  const { status } = spawnSync('gcc', ['-shared', '-fPIC', '-o', library, source, '-ldl']);
  return status === 0 ? library : null;
}

const shim = process.platform === 'linux' ? buildShim() : null;

suite('without IPv6', { skip: shim === null && 'no C compiler' }, () => {
  const env = { ...process.env, LD_PRELOAD: shim ?? '' };

  test('the default of all addresses means all of IPv4, and the relay serves', async () => {
    const args = ['--listen', '[::]:0', '--http', '[::]:0', '--stun', '[::]:0', '--admin', '127.0.0.1:0'];
    const relay = new RelayProcess(args, undefined, undefined, undefined, { env });
    try {
      await relay.says(/"msg":"ready"/);
      assert.match(relay.output, /^ {2}DERP +0\.0\.0\.0:/m);
      // On Bun, the UDP door finds socket() in libc itself, where this library does not reach it.
      if (process.versions['bun'] === undefined) assert.match(relay.output, /^ {2}STUN +0\.0\.0\.0:/m);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
    } finally {
      await relay.clean();
    }
  });

  test('an IPv6 address that is asked for by name is refused in words', async () => {
    const args = ['--listen', '127.0.0.1:0', '--http', 'off', '--stun', '127.0.0.1:0', '--admin', '[::1]:0'];
    const relay = new RelayProcess(args, undefined, undefined, undefined, { env });
    try {
      assert.deepEqual(await relay.end(), [1, null]);
      assert.match(relay.output, /^towpath: .*\[::1\].*does not have that address/m);
    } finally {
      await relay.clean();
    }
  });
});
