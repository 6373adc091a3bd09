/** The proxies of the recipes in `deploy/`, each started in front of a relay on ports of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const DEPLOY = path.resolve(import.meta.dirname, '../../../deploy');
/** The source address of the proxy, which differs from that of the client. */
const PROXY_IP = '127.0.0.77';
const START_MS = 20_000;

export const PROXIES = ['haproxy', 'nginx-stream', 'nginx-http', 'caddy', 'traefik'] as const;
export type ProxyName = (typeof PROXIES)[number];

export function isProxyName(name: string | undefined): name is ProxyName {
  return PROXIES.some((proxy) => proxy === name);
}

/** Returns whether the proxy has the certificate, so that the relay does not use TLS. */
export function doesTls(proxy: ProxyName): boolean {
  return proxy === 'nginx-http' || proxy === 'caddy';
}

/** Returns the environment of a relay behind the proxy. */
export function relayEnvironment(proxy: ProxyName): Record<string, string> {
  return {
    // Traefik and the Caddy of Debian cannot choose their source address.
    TOWPATH_PROXY_TRUSTED: proxy === 'caddy' || proxy === 'traefik' ? '127.0.0.1' : PROXY_IP,
    ...(doesTls(proxy) ? { TOWPATH_TRANSPORT: 'plain' } : { TOWPATH_PROXY_PROTOCOL: 'true' }),
  };
}

interface Places {
  readonly frontPort: number;
  readonly relayPort: number;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Starts the proxy once the relay listens; returns a function that ends it. */
export async function startProxy(proxy: ProxyName, places: Places): Promise<() => void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-proxy-'));
  await untilListening(places.relayPort);
  const child = start(folder, proxy, places);
  await Promise.race([untilListening(places.frontPort), failure(child, proxy)]);
  return () => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
}

function start(folder: string, proxy: ProxyName, places: Places): ChildProcess {
  if (proxy === 'haproxy') return haproxy(folder, places);
  if (proxy === 'traefik') return traefik(folder, places);
  return proxy === 'caddy' ? caddy(folder, places) : nginx(folder, proxy, places);
}

/** Returns the recipe with other addresses; fails when the recipe does not have the expected ones. */
function recipe(file: string, replacements: readonly (readonly [RegExp, string])[]): string {
  let text = readFileSync(path.join(DEPLOY, file), 'utf8');
  for (const [pattern, replacement] of replacements) {
    if (!pattern.test(text)) throw new Error(`${file} has no ${String(pattern)}`);
    text = text.replaceAll(new RegExp(pattern, 'gm'), replacement);
  }
  return text;
}

function haproxy(folder: string, { frontPort, relayPort }: Places): ChildProcess {
  const text = recipe('haproxy/haproxy.cfg', [
    [/maxconn 50000/, 'maxconn 5000'],
    [/bind \[::\]:443 v4v6/, `bind 127.0.0.1:${frontPort}`],
    [
      /server relay 127\.0\.0\.1:8443 send-proxy-v2/,
      `server relay 127.0.0.1:${relayPort} send-proxy-v2 source ${PROXY_IP}`,
    ],
    // No client uses port 80 here.
    [/bind \[::\]:80 v4v6/, `bind unix@${folder}/port80`],
  ]);
  const file = path.join(folder, 'haproxy.cfg');
  writeFileSync(file, text);
  return spawn('haproxy', ['-db', '-q', '-f', file], { stdio: ['ignore', 'inherit', 'inherit'] });
}

function nginx(folder: string, proxy: ProxyName, places: Places): ChildProcess {
  const { frontPort, relayPort, certificateFile, keyFile } = places;
  const isHttp = proxy === 'nginx-http';
  const text = isHttp
    ? recipe('nginx/http.conf', [
        [/listen \[::\]:443 ssl ipv6only=off;/, `listen 127.0.0.1:${frontPort} ssl;`],
        [/listen \[::\]:80 ipv6only=off;/, `listen unix:${folder}/port80;`],
        [/proxy_pass http:\/\/127\.0\.0\.1:8080;/, `proxy_pass http://127.0.0.1:${relayPort}; proxy_bind ${PROXY_IP};`],
        [/\/etc\/ssl\/relay\.crt/, certificateFile],
        [/\/etc\/ssl\/relay\.key/, keyFile],
      ])
    : recipe('nginx/stream.conf', [
        [/listen \[::\]:443 ipv6only=off;/, `listen 127.0.0.1:${frontPort};`],
        [/127\.0\.0\.1:8443;/, `127.0.0.1:${relayPort};`],
        [/proxy_pass \$upstream;/, `proxy_pass $upstream; proxy_bind ${PROXY_IP};`],
      ]);
  const module = isHttp ? '' : 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n';
  const http = `access_log off;\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join('\n')}\n`;
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `${module}worker_processes 1;\npid ${folder}/pid;\nerror_log stderr error;\n` +
      `events { worker_connections 4096; }\n${isHttp ? `http {\n${http}${text}}` : text}\n`,
  );
  return spawn('nginx', ['-p', folder, '-c', file, '-g', 'daemon off; master_process off;'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

function caddy(folder: string, { frontPort, relayPort, certificateFile, keyFile }: Places): ChildProcess {
  const text = recipe('caddy/Caddyfile', [
    [/^relay\.example\.com \{/m, `https://:${frontPort} {\n\tbind 127.0.0.1\n\ttls ${certificateFile} ${keyFile}`],
    [/reverse_proxy 127\.0\.0\.1:8080/, `reverse_proxy 127.0.0.1:${relayPort}`],
    // No client uses port 80 here.
    [/^http:\/\/relay\.example\.com \{/m, `http://relay.example.com {\n\tbind unix/${folder}/port80`],
  ]);
  const file = path.join(folder, 'Caddyfile');
  writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n${text}`);
  return spawn('caddy', ['run', '--config', file, '--adapter', 'caddyfile'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
  });
}

function traefik(folder: string, { frontPort, relayPort }: Places): ChildProcess {
  const program = process.env['TRAEFIK'];
  if (program === undefined) throw new Error('TRAEFIK has to be where traefik/build.sh says');
  const file = path.join(folder, 'dynamic.yaml');
  writeFileSync(file, recipe('traefik/dynamic.yaml', [[/address: towpath:8443/, `address: 127.0.0.1:${relayPort}`]]));
  return spawn(
    program,
    [
      ...[`--entryPoints.websecure.address=127.0.0.1:${frontPort}`, `--providers.file.filename=${file}`],
      ...['--log.level=ERROR', '--global.checkNewVersion=false', '--global.sendAnonymousUsage=false'],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], cwd: folder },
  );
}

async function failure(child: ChildProcess, name: string): Promise<never> {
  const [code] = (await once(child, 'exit')) as [number | null];
  throw new Error(`${name} ended with ${String(code)}`);
}

async function untilListening(port: number): Promise<void> {
  const startedAt = performance.now();
  while (performance.now() - startedAt < START_MS) {
    if (await answers(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody listens on port ${port}`);
}

/** Returns whether a program listens. A relay may reset strangers at once; this counts as listening. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', (error) => resolve('code' in error && error.code === 'ECONNRESET'));
  });
}
