import type {
  ActionAnswer,
  ActionName,
  AdmissionAnswer,
  CertificateAnswer,
  ConnectionQuery,
  ConnectionRow,
  ConnectionsAnswer,
  HistoryAnswer,
  LimitsAnswer,
  MeshAnswer,
  RefusalsAnswer,
  StatusAnswer,
  ThreadsAnswer,
  UdpSessionsAnswer,
  UdpUseAnswer,
} from '../../api/shapes.ts';

/** The interface behind the API. The service implements it; the HTTP code uses only this. */
export interface AdminApi {
  status(): StatusAnswer;
  /** Reads the parameters of a list of connections. Throws an {@link ApiError} for wrong ones. */
  connectionQuery(parameters: URLSearchParams): ConnectionQuery;
  connections(query: ConnectionQuery): ConnectionsAnswer;
  /** Null: there is no such connection any more. */
  connection(id: string): ConnectionRow | null;
  udpSessions(parameters: URLSearchParams): Promise<UdpSessionsAnswer>;
  mesh(): MeshAnswer;
  threads(): ThreadsAnswer;
  udpUse(parameters: URLSearchParams): Promise<UdpUseAnswer>;
  certificate(): CertificateAnswer;
  admission(): AdmissionAnswer;
  limits(): LimitsAnswer;
  refusals(): RefusalsAnswer;
  history(): HistoryAnswer;
  /**
   * Runs an action; its body is not checked yet. `by` is the client, for the log. Throws an {@link ApiError} when the
   * action cannot be done.
   */
  act(name: ActionName, body: unknown, by: string): ActionAnswer | Promise<ActionAnswer>;
}
