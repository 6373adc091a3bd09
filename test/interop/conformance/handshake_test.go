package conformance

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/nacl/box"
	"tailscale.com/types/key"
	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

func TestS05_UnknownFramesAreSkipped(t *testing.T) {
	statement(t, 5, bothTransports, func(s *scene) {
		client := s.join()
		skipped := []byte{0x00, serverKey, clientInfo, serverInfo, recvPacket, keepAlive, peerGone, 0x09, pong, health, 0x15, unknownType, 0xff}
		for _, kind := range skipped {
			for _, size := range []int{0, 1, 8, 5000} {
				client.write(encode(kind, make([]byte, size)))
			}
		}
		client.write(encode(unknownType, make([]byte, longestUnknown)))
		client.expectNothing()
	})
}

// longestUnknown is what a frame of unknown type may have: as much as the largest packet with a key.
const longestUnknown = 65536 + 32

func TestS06_FirstFrameIsServerKey(t *testing.T) {
	statement(t, 6, bothTransports, func(s *scene) {
		first := s.open().next()
		if first.kind != serverKey || len(first.payload) != 40 {
			s.Fatalf("first is %v", first)
		}
		if magic := string(first.payload[:8]); magic != "DERP\xf0\x9f\x94\x91" {
			s.Errorf("magic is %q", magic)
		}
		if got := publicKey(first.payload[8:]); got != s.relay.PublicKey() {
			s.Errorf("key is %v, in the key file it is %v", got, s.relay.PublicKey())
		}
	})
}

func TestS07_ServerInfoComesFirstEvenUnderFire(t *testing.T) {
	statement(t, 7, bothTransports, func(s *scene) {
		shooter := s.join()
		target := s.greeted()
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			shot := packet(target.public(), []byte("early"))
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
					if err := shooter.try(shot); err != nil {
						stopped <- err
						return
					}
				}
			}
		}()
		target.introduce("{}")
		target.expectServerInfo()
		// The packets were really sent: one arrives as soon as the client is connected.
		target.expectPacket(shooter.public(), []byte("early"))
		close(stop)
		if err := <-stopped; err != nil {
			s.Fatal(err)
		}
	})
}

func TestS08_ServerInfoOpensAndSaysVersion2(t *testing.T) {
	statement(t, 8, bothTransports, func(s *scene) {
		client := s.greeted()
		client.introduce(`{"version":2,"CanAckPings":true}`)
		if text := string(client.expectServerInfo()); text != `{"version":2}` {
			s.Errorf("ServerInfo is %s", text)
		}

		const rate, burst = 500_000, 100_000
		s.own(relay.Options{Rate: &relay.Rate{BytesPerSecond: rate, BurstBytes: burst}})
		limited := s.greeted()
		limited.introduce("{}")
		want := map[string]any{"version": 2.0}
		if s.differs(catalogue.AnnouncesRate) {
			want["TokenBucketBytesPerSecond"] = float64(rate)
			want["TokenBucketBytesBurst"] = float64(burst)
		}
		var got map[string]any
		if err := json.Unmarshal(limited.expectServerInfo(), &got); err != nil {
			s.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			s.Errorf("ServerInfo under a rate is %v, not %v", got, want)
		}
	})
}

func TestS09_EmptyClientInfoIsAccepted(t *testing.T) {
	statement(t, 9, bothTransports, func(s *scene) {
		client := s.greeted()
		client.introduce("{}")
		client.expectServerInfo()
		client.expectNothing()
	})
}

// someMeshKey is a mesh key that no relay here has.
const someMeshKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestS10_ClientInfoKeysIgnoreCase(t *testing.T) {
	statement(t, 10, bothTransports, func(s *scene) {
		for _, accepted := range []string{
			`{"version":2,"meshKey":"` + regionKey + `"}`,
			`{"Version":2,"MeshKey":"` + strings.ToUpper(regionKey) + `","IsProber":true,"AppName":"x","future":[1]}`,
		} {
			client := s.greeted()
			client.introduce(accepted)
			client.expectServerInfo()
			client.expectNothing()
		}
		// That a spelling is recognised shows in what a bad value under it does.
		for _, spelling := range []string{"meshKey", "MeshKey", "MESHKEY", "meshkey"} {
			client := s.greeted()
			client.introduce(`{"` + spelling + `":"short"}`)
			client.expectClosed(spelling + " with a bad value")
		}
		for _, spelling := range []string{"version", "Version", "VERSION"} {
			client := s.greeted()
			client.introduce(`{"` + spelling + `":"two"}`)
			client.expectClosed(spelling + " that is not a number")
		}
	})
}

func TestS11_BadMeshKeysAreRejected(t *testing.T) {
	statement(t, 11, bothTransports, func(s *scene) {
		for _, value := range []string{
			`"` + someMeshKey[1:] + `"`, `"` + someMeshKey + `0"`, `"` + someMeshKey[1:] + `g"`, `" ` + someMeshKey[1:] + `"`,
			`""`, `null`, `7`,
		} {
			client := s.greeted()
			client.introduce(`{"meshKey":` + value + `}`)
			client.expectClosed("mesh key " + value)
		}
	})
}

func TestS12_SilentClientIsDisconnectedAfter10Seconds(t *testing.T) {
	statement(t, 12, bothTransports, func(s *scene) {
		silence := <-silences[s.over]
		if silence.err != nil {
			s.Fatal(silence.err)
		}
		// A little early may be a coarse clock; much later would be another deadline.
		if silence.after < 9500*time.Millisecond || silence.after > 15*time.Second {
			s.Errorf("disconnected after %v", silence.after)
		}
	})
}

func TestS13_ClientInfoHasBounds(t *testing.T) {
	statement(t, 13, bothTransports, func(s *scene) {
		const most, sealed = 256 << 10, 32 + 24 + 16
		padded := func(size int) string {
			const around = len(`{"x":""}`)
			return `{"x":"` + strings.Repeat("x", size-sealed-around) + `"}`
		}
		longest := s.greeted()
		longest.introduce(padded(most))
		longest.expectServerInfo()

		tooLong := s.greeted()
		_ = tooLong.try(tooLong.introduction(padded(most + 1)))
		tooLong.expectClosed("262,145 bytes of ClientInfo")

		for _, size := range []int{0, 32, 55, 56, 71} {
			short := s.greeted()
			short.write(encode(clientInfo, short.introduction("{}")[5:5+size]))
			short.expectClosed(fmt.Sprintf("%d bytes of ClientInfo", size))
		}
	})
}

func TestS14_BoxForAnotherServerIsRejected(t *testing.T) {
	statement(t, 14, bothTransports, func(s *scene) {
		client := s.greeted()
		client.relayKey = key.NewNode().Public()
		client.introduce("{}")
		client.expectClosed("a box for another server")

		swapped := s.greeted()
		introduction := swapped.introduction("{}")
		copy(introduction[5:], raw(key.NewNode().Public()))
		swapped.write(introduction)
		swapped.expectClosed("a box under another client's key")

		for _, json := range []string{"", "{", "[]", `{} {}`, "{}x"} {
			broken := s.greeted()
			broken.introduce(json)
			broken.expectClosed("the JSON text " + json)
		}

		for _, point := range lowOrderPoints {
			client := s.greeted()
			client.write(forgedIntroduction(s, point))
			if strings.Trim(point, "0") == "" || s.differs(catalogue.LowOrderKeysRefused) {
				client.expectClosed("the client key " + point)
			} else if next := client.next(); next.kind != serverInfo {
				s.Errorf("the client key %s is answered %v", point, next)
			}
		}

		other := s.greeted()
		other.write(encode(ping, make([]byte, 8)))
		other.expectClosed("a first frame that is not ClientInfo")
	})
}

// lowOrderPoints are the client keys that make every shared secret zero.
var lowOrderPoints = []string{
	strings.Repeat("00", 32),
	"01" + strings.Repeat("00", 31),
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ec" + strings.Repeat("ff", 30) + "7f",
	"ed" + strings.Repeat("ff", 30) + "7f",
	"ee" + strings.Repeat("ff", 30) + "7f",
}

// forgedIntroduction seals a ClientInfo for a key of low order, whose private part is unknown and not needed.
func forgedIntroduction(s *scene, point string) []byte {
	s.Helper()
	bytes, err := hex.DecodeString(point)
	if err != nil {
		s.Fatal(err)
	}
	var shared [32]byte
	box.Precompute(&shared, (*[32]byte)(bytes), &[32]byte{1})
	var nonce [24]byte
	return encode(clientInfo, bytes, nonce[:], box.SealAfterPrecomputation(nil, []byte("{}"), &nonce, &shared))
}

func TestS15_PacketSentWithClientInfoIsRelayed(t *testing.T) {
	statement(t, 15, bothTransports, func(s *scene) {
		receiver := s.join()
		hasty := s.greeted()
		hasty.write(append(hasty.introduction("{}"), packet(receiver.public(), []byte("at once"))...))
		receiver.expectPacket(hasty.public(), []byte("at once"))
		hasty.expectServerInfo()
		hasty.expectNothing()
	})
}

func TestS16_ServerKeyNeedNotBeReadFirst(t *testing.T) {
	statement(t, 16, bothTransports, func(s *scene) {
		if s.over == overTLS {
			conn, err := dialTLS(s.relay)
			if err != nil {
				s.Fatal(err)
			}
			client := s.peer(conn)
			request := upgradeRequest(s.relay, "DERP", "Derp-Fast-Start: 1")
			client.write(append([]byte(request), client.introduction("{}")...))
			client.expectServerKey()
			client.expectServerInfo()
			client.expectNothing()
			return
		}
		client := s.open()
		client.introduce("{}")
		client.expectServerKey()
		client.expectServerInfo()
		client.expectNothing()
	})
}

func TestS106_LongUnknownFramesEndTheConnection(t *testing.T) {
	statement(t, 106, bothTransports, func(s *scene) {
		client := s.join()
		long := encode(unknownType, make([]byte, longestUnknown+1))
		if s.differs(catalogue.UnboundedSkipping) {
			client.write(long)
			client.expectNothing()
			return
		}
		// The relay may close at the header, so that the write of the rest may fail.
		_ = client.try(long)
		client.expectClosed("an unknown frame of 65,569 bytes")
	})
}

func TestS107_ApplicationNamesAreChecked(t *testing.T) {
	statement(t, 107, bothTransports, func(s *scene) {
		introduced := func(name string) *peer {
			text, err := json.Marshal(map[string]string{"AppName": name})
			if err != nil {
				s.Fatal(err)
			}
			client := s.greeted()
			client.introduce(string(text))
			return client
		}
		for _, name := range []string{"", "x", " ~", strings.Repeat("a", 32)} {
			client := introduced(name)
			client.expectServerInfo()
			client.expectNothing()
		}
		unchecked := s.differs(catalogue.AnyApplicationName)
		for _, name := range []string{strings.Repeat("a", 33), "a\x1fb", "\x7f", "é", "a\nb"} {
			client := introduced(name)
			if unchecked {
				client.expectServerInfo()
				continue
			}
			client.expectClosed(fmt.Sprintf("the application name %q", name))
		}
	})
}
