/** What an operator can do about each problem of health, by its name. */
const ADVICE: Readonly<Record<string, string>> = {
  'self-test':
    'The relay tests itself again until it passes. If it does not pass soon, the log has the step that fails.',
  shutdown: 'Nothing: clients were told when to connect again. Start the relay again when it has ended.',
  certificate: 'The log has the answer of the certificate authority. docs/certificates.md explains the usual causes.',
  'certificate-validity': 'Renew the certificate, or set the clock of this machine right.',
  listener: 'The log has the error of the system. Often the limit of open files is too low (LimitNOFILE, ulimit -n).',
  'event-loop': 'The machine is too slow for its load: find out what else runs on it, or add another relay.',
  memory: 'Raise limits.memoryMegabytes if the machine has more memory, or add another relay to the region.',
  descriptors:
    'Raise the limit of open files: LimitNOFILE in systemd, --ulimit nofile with Docker, ulimit -n elsewhere.',
  admission: 'No source can tell who may come in: see Admission. Nodes with an open connection stay connected.',
};

/**
 * Returns one sentence of advice. Names that are made at run time, such as that of a tailnet, get a general sentence.
 */
export function adviceFor(name: string): string {
  return ADVICE[name] ?? 'The log of the relay says more; towpath doctor checks the usual causes.';
}
