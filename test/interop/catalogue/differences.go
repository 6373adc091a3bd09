package catalogue

import "slices"

// Difference is a place where a relay does not behave as the statement says, or as upstream does, on purpose.
type Difference struct {
	// Key names it in the tests.
	Key       string
	Statement int
	// Targets are the relays that differ, by their names in RELAY.
	Targets []string
	// Chosen is what the relay does, and is what the test asserts.
	Chosen string
	Reason string
	// NotApplicable says that the relay has no way to do what the statement is about, so that there is nothing to assert.
	NotApplicable bool
}

// Names by which the tests ask for a difference.
const (
	LowOrderKeysRefused    = "low-order-keys-refused"
	UnboundedSkipping      = "unbounded-skipping"
	AnyApplicationName     = "any-application-name"
	AnswersFromAnyAddress  = "answers-from-any-address"
	HealthToDuplicates     = "health-to-duplicates"
	AnnouncesRate          = "announces-rate"
	ByteBoundQueue         = "byte-bound-queue"
	RedirectsToTLSPort     = "redirects-to-tls-port"
	NeutralPages           = "unknown-paths-not-found"
	NoFighterPolicy        = "no-fighter-policy"
	NeverAnnouncesRate     = "never-announces-rate"
	LongMessages           = "long-messages"
	WaitOutlivesConnection = "wait-outlives-connection"
	WrongMeshKeyRefused    = "wrong-mesh-key-refused"
	ZeroMeshKeyRefused     = "zero-mesh-key-refused"
	KeysOutliveLink        = "keys-outlive-link"
	SelfLinkClosed         = "self-link-closed"
	NoNameInPresence       = "no-name-in-presence"
)

var (
	towpath     = []string{"towpath"}
	olderDerper = []string{"derper-1.102.5"}
	derpers     = []string{"derper-1.102.5", "derper-1.104.5"}
)

// Differences is the whole table.
var Differences = []Difference{
	{
		Key: LowOrderKeysRefused, Statement: 14, Targets: towpath,
		Chosen: "a client key of low order, for which anyone can make a box, ends the connection; upstream refuses only zero",
		Reason: "such a key proves nothing, so that anyone could receive what is sent to it",
	},
	{
		Key: AnnouncesRate, Statement: 8, Targets: towpath,
		Chosen: "ServerInfo also names the token bucket when a rate is configured",
		Reason: "clients obey it, so that they drop at the source instead of filling buffers on the way",
	},
	{
		Key: ByteBoundQueue, Statement: 24, Targets: towpath,
		Chosen: "the queue is bounded in bytes, so that more than 32 small packets are kept, and there is no depth to set",
		Reason: "memory is what has to be bounded; a count allows 2 MiB of large packets or 2 KiB of small ones",
	},
	{
		Key: HealthToDuplicates, Statement: 35, Targets: towpath,
		Chosen: "every connection of a key that is connected twice gets a Health frame that says so",
		Reason: "two machines with one key disturb each other, and the frame exists to tell their users",
	},
	{
		Key: NeutralPages, Statement: 69, Targets: towpath,
		Chosen: "with the neutral home page, the default, unknown paths and `/derp` without upgrade are answered 404; with the full one they are as upstream's",
		Reason: "scanners do not learn what this is, and a health checker that expects 404 is not fooled",
	},
	{
		Key: RedirectsToTLSPort, Statement: 79, Targets: towpath,
		Chosen: "the redirect names the port on which TLS is served, where upstream repeats the port in the Host header",
		Reason: "on other ports than 80 and 443 upstream's redirect leads back to the port without TLS",
	},
	{
		Key: NoFighterPolicy, Statement: 39, Targets: derpers,
		Chosen: "cannot be run: no flag of the program selects the policy",
		Reason: "the policy is in upstream's library only", NotApplicable: true,
	},
	{
		Key: NoFighterPolicy, Statement: 40, Targets: derpers,
		Chosen: "cannot be run: no flag of the program selects the policy",
		Reason: "the policy is in upstream's library only", NotApplicable: true,
	},
	{
		Key: NoFighterPolicy, Statement: 41, Targets: derpers,
		Chosen: "cannot be run: no flag of the program selects the policy",
		Reason: "the policy is in upstream's library only", NotApplicable: true,
	},
	{
		Key: NeverAnnouncesRate, Statement: 64, Targets: derpers,
		Chosen: "ServerInfo never names a token bucket, so that clients do not limit themselves",
		Reason: "upstream enforces its limit by reading slowly and tells nobody",
	},
	{
		Key: WrongMeshKeyRefused, Statement: 43, Targets: towpath,
		Chosen: "when the relay has a mesh key, a client that shows another one is refused",
		Reason: "the other relay and its operator see at once that the keys differ, where upstream lets it in without rights",
	},
	{
		Key: ZeroMeshKeyRefused, Statement: 45, Targets: towpath,
		Chosen: "a mesh key of zeros stops the start",
		Reason: "it grants nothing, so that an operator who sets it believes in a mesh that does not exist",
	},
	{
		Key: KeysOutliveLink, Statement: 55, Targets: towpath,
		Chosen: "the keys of a lost link count as present for 10 s more; those that the new connection confirms never leave",
		Reason: "a short interruption is no reason for clients to give up a path",
	},
	{
		Key: SelfLinkClosed, Statement: 56, Targets: towpath,
		Chosen: "the connection to itself is closed, which upstream leaves open and unread",
		Reason: "it is of no use",
	},
	{
		Key: WaitOutlivesConnection, Statement: 59, Targets: derpers,
		Chosen: "the socket is closed at once, but the client stays registered until its wait would have ended",
		Reason: "seen from outside, where only the client can close; the cause was not looked for",
	},
	{
		Key: LongMessages, Statement: 101, Targets: derpers,
		Chosen: "packets over 32 KiB leave in one message, which disconnects clients of upstream's own WebSocket library",
		Reason: "seen with upstream's own derphttp client too, which reads 32 KiB per message at most; not something to copy",
	},
	{
		Key: UnboundedSkipping, Statement: 106, Targets: olderDerper,
		Chosen: "unknown frames of any length are skipped",
		Reason: "the bound came with 1.104",
	},
	{
		Key: AnyApplicationName, Statement: 107, Targets: olderDerper,
		Chosen: "the name is not looked at",
		Reason: "the field came with 1.104",
	},
	{
		Key: NoNameInPresence, Statement: 109, Targets: olderDerper,
		Chosen: "PeerPresent has 51 bytes",
		Reason: "the name came with 1.104",
	},
	{
		Key: AnswersFromAnyAddress, Statement: 108, Targets: olderDerper,
		Chosen: "the kernel chooses the address, by the route back to the client",
		Reason: "the rule came with 1.104",
	},
}

// Of returns the differences of one relay in one statement.
func Of(target string, statement int) []Difference {
	var found []Difference
	for _, difference := range Differences {
		if slices.Contains(difference.Targets, target) && difference.Statement == statement {
			found = append(found, difference)
		}
	}
	return found
}
