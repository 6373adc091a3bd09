package catalogue

// Difference is a place where a relay does not behave as the statement says, or as upstream does, on purpose.
type Difference struct {
	// Key names it in the tests.
	Key       string
	Statement int
	// Target is the relay that differs, by the name in RELAY.
	Target string
	// Chosen is what the relay does, and is what the test asserts.
	Chosen string
	Reason string
	// NotApplicable says that the relay has no way to do what the statement is about, so that there is nothing to assert.
	NotApplicable bool
}

// Names by which the tests ask for a difference.
const (
	LowOrderKeysRefused    = "low-order-keys-refused"
	LongFramesRefused      = "long-frames-refused"
	HealthToDuplicates     = "health-to-duplicates"
	AnnouncesRate          = "announces-rate"
	ByteBoundQueue         = "byte-bound-queue"
	RedirectsToTLSPort     = "redirects-to-tls-port"
	NeutralPages           = "unknown-paths-not-found"
	NoFighterPolicy        = "no-fighter-policy"
	NeverAnnouncesRate     = "never-announces-rate"
	LongMessages           = "long-messages"
	WaitOutlivesConnection = "wait-outlives-connection"
)

// Differences is the whole table.
var Differences = []Difference{
	{
		Key: LongFramesRefused, Statement: 5, Target: "towpath",
		Chosen: "an unknown frame of more than 65,568 bytes ends the connection, as from upstream v1.104 on; shorter ones are skipped",
		Reason: "no client sends such frames, and skipping 4 GiB on demand is work for an attacker's benefit",
	},
	{
		Key: LowOrderKeysRefused, Statement: 14, Target: "towpath",
		Chosen: "a client key of low order, for which anyone can make a box, ends the connection; upstream refuses only zero",
		Reason: "such a key proves nothing, so that anyone could receive what is sent to it",
	},
	{
		Key: AnnouncesRate, Statement: 8, Target: "towpath",
		Chosen: "ServerInfo also names the token bucket when a rate is configured",
		Reason: "clients obey it, so that they drop at the source instead of filling buffers on the way",
	},
	{
		Key: ByteBoundQueue, Statement: 24, Target: "towpath",
		Chosen: "the queue is bounded in bytes, so that more than 32 small packets are kept, and there is no depth to set",
		Reason: "memory is what has to be bounded; a count allows 2 MiB of large packets or 2 KiB of small ones",
	},
	{
		Key: HealthToDuplicates, Statement: 35, Target: "towpath",
		Chosen: "every connection of a key that is connected twice gets a Health frame that says so",
		Reason: "two machines with one key disturb each other, and the frame exists to tell their users",
	},
	{
		Key: NeutralPages, Statement: 69, Target: "towpath",
		Chosen: "with the neutral home page, the default, unknown paths and `/derp` without upgrade are answered 404; with the full one they are as upstream's",
		Reason: "scanners do not learn what this is, and a health checker that expects 404 is not fooled",
	},
	{
		Key: RedirectsToTLSPort, Statement: 79, Target: "towpath",
		Chosen: "the redirect names the port on which TLS is served, where upstream repeats the port in the Host header",
		Reason: "on other ports than 80 and 443 upstream's redirect leads back to the port without TLS",
	},
	{
		Key: NoFighterPolicy, Statement: 39, Target: "derper",
		Chosen: "cannot be run: no flag of the program selects the policy",
		Reason: "the policy is in upstream's library only", NotApplicable: true,
	},
	{
		Key: NoFighterPolicy, Statement: 40, Target: "derper",
		Chosen: "cannot be run: no flag of the program selects the policy",
		Reason: "the policy is in upstream's library only", NotApplicable: true,
	},
	{
		Key: NoFighterPolicy, Statement: 41, Target: "derper",
		Chosen: "cannot be run: no flag of the program selects the policy",
		Reason: "the policy is in upstream's library only", NotApplicable: true,
	},
	{
		Key: NeverAnnouncesRate, Statement: 64, Target: "derper",
		Chosen: "ServerInfo never names a token bucket, so that clients do not limit themselves",
		Reason: "upstream enforces its limit by reading slowly and tells nobody",
	},
	{
		Key: WaitOutlivesConnection, Statement: 59, Target: "derper",
		Chosen: "the socket is closed at once, but the client stays registered until its wait would have ended",
		Reason: "seen from outside, where only the client can close; the cause was not looked for",
	},
	{
		Key: LongMessages, Statement: 101, Target: "derper",
		Chosen: "packets over 32 KiB leave in one message, which disconnects clients of upstream's own WebSocket library",
		Reason: "seen with upstream's own derphttp client too, which reads 32 KiB per message at most; not something to copy",
	},
}

// Of returns the differences of one relay in one statement.
func Of(target string, statement int) []Difference {
	var found []Difference
	for _, difference := range Differences {
		if difference.Target == target && difference.Statement == statement {
			found = append(found, difference)
		}
	}
	return found
}
