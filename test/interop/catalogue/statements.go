// Package catalogue is the list of what the conformance suite checks, and where a relay differs by choice.
//
// The numbers are those of the conformance list in our protocol reference; the words are short forms of it.
package catalogue

// Statement is one sentence of the conformance list.
type Statement struct {
	Number int
	Text   string
}

// Statements holds every statement about a server that a test outside the process can see, in order.
var Statements = []Statement{
	{5, "frames of unknown type, up to 65,568 bytes, are skipped with their payload, and the connection goes on"},
	{6, "the first frame from the server is ServerKey: magic and its public key"},
	{7, "the first frame after the client's introduction is ServerInfo, even under fire"},
	{8, "ServerInfo opens with the client's private key and says version 2"},
	{9, "ClientInfo `{}` is accepted"},
	{10, "ClientInfo's keys are read without regard to case"},
	{11, "a mesh key in ClientInfo that is not 64 hex digits ends the connection"},
	{12, "a client that says nothing is disconnected after 10 s"},
	{13, "a ClientInfo of 262,144 bytes is taken; 262,145 or fewer than 56 end the connection"},
	{14, "a ClientInfo sealed for another server's key ends the connection"},
	{15, "a packet sent in one write with ClientInfo is relayed"},
	{16, "a client that knows the server's key need not read ServerKey first"},
	{17, "a packet arrives unchanged with its source key, and nowhere else"},
	{18, "a packet to one's own key comes back"},
	{19, "65,536 bytes are relayed; 65,537 end the sender's connection"},
	{20, "100 MB in 64 KiB packets, at most 30 in flight, arrive whole and in order"},
	{21, "a receiver that stops reading delays nobody else"},
	{22, "from a full queue the oldest packets are lost and the newest kept"},
	{23, "a blocked receiver is disconnected"},
	{24, "the queue holds 32 packets; the environment can say 64; an empty value means the default"},
	{25, "disco packets and others do not push each other out"},
	{26, "a packet to an unknown key is dropped in silence unless it looks like disco"},
	{27, "a 62-byte disco packet to an unknown key is answered \"not here\""},
	{28, "six of those at once are answered exactly three times"},
	{29, "who received from a peer hears once that it left; nobody else does"},
	{30, "NotePreferred moves the home gauge by one, repeats do not, leaving takes it back"},
	{31, "a ping is answered with its own 8 bytes"},
	{32, "a ping shorter than 8 or longer than 1000 bytes ends the connection"},
	{33, "KeepAlive comes after 60 to 65 s (its constant period: only with `CONFORMANCE_LONG=1`)"},
	{34, "a client that came and went leaves nothing behind"},
	{35, "the newer of two connections of a key receives; the gauges say 1 key, 2 connections"},
	{36, "when the older leaves, the newer is an ordinary client again"},
	{37, "of several connections of a key the last that spoke receives"},
	{38, "when the receiving one leaves, another takes over"},
	{39, "disabling policy: alternating speakers disable all until one is left or a new one comes"},
	{40, "disabling policy: of three, the first speaking again disables all"},
	{41, "disabling policy: an older one that speaks once waits until the active one leaves"},
	{42, "a mesh key that is not 64 hex digits stops the start"},
	{43, "no mesh key, another one or zeros give no mesh rights; the equal one does"},
	{44, "the mesh key is trimmed and may be upper case; 16 or 65 digits are refused"},
	{45, "a mesh key of zeros is accepted and grants nothing"},
	{46, "a watcher is told of itself and all who are there, then of each who comes and goes"},
	{47, "flags are 2 for a watcher with the mesh key and 1 for an ordinary client; the address is the client's"},
	{48, "a watcher is told with reason 0 that a client left"},
	{49, "mesh requests from an ordinary client end its connection"},
	{50, "of two relays that have a key the first one told gets its packets, then the other"},
	{51, "a key that other relays lose stays while it is connected here, and then leaves"},
	{52, "a key that is here and elsewhere does not leave with its connection here: packets go elsewhere"},
	{53, "a connection here goes before one elsewhere"},
	{54, "a packet from another relay goes to a client here, never on to a third relay"},
	{55, "a watch that breaks is taken up again; keys from before are forgotten first and told again"},
	{56, "a relay that links to itself notices and does not try again"},
	{57, "a relay that cannot be reached is reported and tried again"},
	{58, "with a full bucket the first large frame passes and the second waits"},
	{59, "closing a waiting connection ends the wait"},
	{60, "connections with the mesh key have no rate limit"},
	{61, "a changed rate reaches all connections, duplicates too; zero removes it"},
	{62, "a burst below 65,568 is raised to it"},
	{63, "no rate and rate 0 mean \"off\"; a missing or broken file stops the start"},
	{64, "a client that was told a token bucket keeps to it and may send the burst"},
	{65, "the meta-certificate has serial 2, CN `derpkey` + key and BasicConstraints only"},
	{66, "the presented chain is the configured chain and then the meta-certificate"},
	{67, "the certificate of an IP host is served without SNI and with any"},
	{68, "a client with a `sha256-raw:` pin connects, and one with another pin does not"},
	{69, "probe paths answer 200, `/derp` without upgrade 426"},
	{70, "POST to a probe path is answered 405"},
	{71, "with fast start no HTTP response comes before ServerKey"},
	{72, "`/generate_204` answers well-formed challenges and no others"},
	{73, "the captive-portal question of a client, asked by hand, is answered as it demands"},
	{79, "plain HTTP redirects to HTTPS, path and query kept, with 302"},
	{84, "STUN answers hold the asker's own address and port, IPv4 and IPv6"},
	{85, "STUN messages need 20 bytes, the cookie and two zero top bits"},
	{87, "a client's STUN request starts with SOFTWARE and is answered"},
	{88, "STUN answers carry the transaction id; anything but a valid request gets none"},
	{89, "a client away from its node has flag 8, a prober 4, a prober with the mesh key 6"},
	{90, "watchers are told of each connection of a key, and only of the last one that it left"},
	{91, "ClosePeer ends every connection of the key and is not answered"},
	{92, "a watcher with the relay's own key is told nothing and stays"},
	{93, "a forwarded packet arrives with its source key"},
	{94, "a forwarded disco packet for an absent key is answered \"not here\""},
	{95, "of several connections of a key, one that only pings becomes the receiving one"},
	{96, "NotePreferred of 0 or 2 bytes, WatchConns of 1 and ClosePeer of 31 end the connection"},
	{97, "the rate delays frames of every type"},
	{100, "`Upgrade: websocket` without the subprotocol gets raw frames after `Upgrade: DERP`"},
	{101, "frames may be split over WebSocket messages in any way"},
	{102, "`Derp-Fast-Start` with any value but 1 gets the normal 101"},
	{104, "plain HTTP answers POST with 400"},
	{105, "a broken rate configuration on reload keeps the limits"},
	{106, "an unknown frame of more than 65,568 bytes ends the connection"},
	{107, "an application name is 32 bytes of 0x20 to 0x7e at most; any other ends the connection"},
	{108, "a STUN answer leaves from the address that was asked, also when the relay listens on all"},
	{109, "PeerPresent ends with the application's name behind its length"},
}

// Elsewhere says why the other numbers of the list are not in Statements.
var Elsewhere = []struct{ Numbers, Reason string }{
	{"1-4, 81-83, 86, 103", "a library's encoding and decoding: unit tests"},
	{"74, 75", "bootstrap DNS, which needs a resolver of its own"},
	{"76, 77", "ACME"},
	{"78", "a client's behaviour behind a proxy"},
	{"80", "debug pages"},
	{"98, 99", "admission"},
	{"84 on a dual-stack socket", "needs a listener on all addresses, while the suite keeps to the loopback: unit tests"},
}

// Find returns the statement of a number.
func Find(number int) (Statement, bool) {
	for _, statement := range Statements {
		if statement.Number == number {
			return statement, true
		}
	}
	return Statement{}, false
}
