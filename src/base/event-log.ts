/**
 * The part of a pino logger that writes lines of these levels: facts, and a sentence for the operator. A part of the
 * relay names the levels that it uses, so that a test needs to give it only those.
 */
export type EventLog<Level extends 'debug' | 'info' | 'warn' | 'error' = 'info' | 'warn' | 'error'> = {
  readonly [Name in Level]: (fields: object, text: string) => void;
};
