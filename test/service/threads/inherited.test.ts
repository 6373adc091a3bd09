import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { NO_SOCKETS } from '../../../src/service/inherited-sockets.ts';
import { duplicateDescriptor } from '../../../src/system/duplicate.ts';
import { loadSystemCalls } from '../../../src/system/runtime.ts';
import { handleFd, tcpServer } from '../../e2e/held-sockets.ts';
import { TwoThreads } from './support.ts';

const calls = await loadSystemCalls();
const skip = calls.unavailable ?? false;

/** Number of descriptors of this process that are open on the same socket. */
function descriptorsOf(socket: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => linkOf(fd) === socket).length;
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // The one that has read the folder.
    return '';
  }
}

test(
  'a thread that is started again takes connections from the inherited socket, and leaks no descriptor',
  { skip },
  async () => {
    const server = await tcpServer();
    const fd = duplicateDescriptor(calls, handleFd(server));
    server.close();
    const socket = linkOf(String(fd));
    const two = await TwoThreads.start({}, { ...NO_SOCKETS, derp: [fd] });
    try {
      const { relay, lines } = two.test;
      await two.client(0);
      await two.client(1);
      assert.equal(descriptorsOf(socket), 2);
      await relay.threads!.kill(1);
      await two.until(() => lines.some((line) => line.includes('runs again')), 'it runs again');
      await two.client(1);
      assert.equal(descriptorsOf(socket), 2);
    } finally {
      await two.stop();
    }
    assert.equal(descriptorsOf(socket), 0);
  },
);
