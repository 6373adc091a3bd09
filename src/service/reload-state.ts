import type { MetricDefinition } from '../observe/metrics.ts';

/** The result of the last reload of the configuration, and the time of the last successful one. */
export class ReloadState {
  #isGood = true;
  #goodAt: number;

  /** `now`: the time of the start, milliseconds since 1970. */
  constructor(now: number) {
    this.#goodAt = now;
  }

  /** Records that the configuration was read again and is in use. */
  succeeded(now: number): void {
    this.#isGood = true;
    this.#goodAt = now;
  }

  /** Records that the new configuration has an error, so that the old one stays in use. */
  failed(): void {
    this.#isGood = false;
  }

  metrics(): MetricDefinition[] {
    return [
      {
        name: 'towpath_config_last_reload_successful',
        help: '1 when the configuration was good when it was last read, 0 when an older one is still in use.',
        type: 'gauge',
        labels: [],
        read: () => [[{}, this.#isGood ? 1 : 0]],
      },
      {
        name: 'towpath_config_last_reload_success_timestamp_seconds',
        help: 'When the configuration in use was read.',
        type: 'gauge',
        labels: [],
        read: () => [[{}, this.#goodAt / 1000]],
      },
    ];
  }
}
