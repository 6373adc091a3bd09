package conformance

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"tailscale.com/net/stun"
	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

// asker sends STUN messages to the scene's relay.
type asker struct {
	*scene
	conn *net.UDPConn
}

func (s *scene) asker() *asker {
	s.Helper()
	conn, err := net.Dial("udp", s.relay.STUNAddress())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	return &asker{s, conn.(*net.UDPConn)}
}

func (a *asker) send(message []byte) {
	a.Helper()
	if _, err := a.conn.Write(message); err != nil {
		a.Fatal(err)
	}
}

// ask sends a request, again when a datagram was lost, and returns the first answer. Requests before it that were
// answered would have been answered first.
func (a *asker) ask(request []byte) []byte {
	a.Helper()
	buffer := make([]byte, 2048)
	for range 5 {
		a.send(request)
		if err := a.conn.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
			a.Fatal(err)
		}
		n, err := a.conn.Read(buffer)
		if err == nil {
			return buffer[:n]
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			a.Fatal(err)
		}
	}
	a.Fatal("no STUN answer")
	return nil
}

// expectOwnAddress asks in the regular way and checks the answer in full.
func (a *asker) expectOwnAddress() {
	a.Helper()
	id := stun.NewTxID()
	answer := a.ask(stun.Request(id))
	gotID, got, err := stun.ParseResponse(answer)
	if err != nil {
		a.Fatalf("answer %x: %v", answer, err)
	}
	if gotID != id {
		a.Fatalf("answer has the id of another request: %x", answer)
	}
	own := a.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	if got != netip.AddrPortFrom(own.Addr().Unmap(), own.Port()) {
		a.Errorf("answer says %v to %v", got, own)
	}
	// The official parser is lenient; the family and the length are what other clients see.
	size := 32
	if own.Addr().Unmap().Is6() {
		size = 44
	}
	if len(answer) != size {
		a.Errorf("answer to %v has %d bytes: %x", own, len(answer), answer)
	}
}

func TestS84_AnswersHoldTheAskersAddress(t *testing.T) {
	statement(t, 84, []string{overAny}, func(s *scene) {
		s.asker().expectOwnAddress()
		s.own(relay.Options{Host: "::1"})
		s.asker().expectOwnAddress()
	})
}

// expectIgnored sends a message and shows by a regular request behind it that it is not answered.
func (a *asker) expectIgnored(what string, message []byte) {
	a.Helper()
	a.send(message)
	id := stun.NewTxID()
	answer := a.ask(stun.Request(id))
	if got, _, err := stun.ParseResponse(answer); err != nil || got != id {
		a.Errorf("%s (%x) is answered %x", what, message, answer)
	}
}

func changed(message []byte, index int, value byte) []byte {
	copied := bytes.Clone(message)
	copied[index] = value
	return copied
}

func TestS85_WhatLooksLikeSTUN(t *testing.T) {
	statement(t, 85, []string{overAny}, func(s *scene) {
		a, valid := s.asker(), stun.Request(stun.NewTxID())
		a.expectIgnored("19 bytes", valid[:19])
		a.expectIgnored("no attributes", valid[:20])
		a.expectIgnored("another cookie", changed(valid, 4, 0x22))
		a.expectIgnored("top bit", changed(valid, 0, 0x80))
		a.expectIgnored("second bit", changed(valid, 0, 0x40))
		a.expectIgnored("an empty datagram", nil)
		a.expectIgnored("noise", noise(40))
	})
}

func TestS87_ClientsRequestStartsWithSoftware(t *testing.T) {
	statement(t, 87, []string{overAny}, func(s *scene) {
		id := stun.TxID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		request := stun.Request(id)
		const want = "000100142112a4420102030405060708090a0b0c" + "802200087461696c6e6f6465" + "80280004b32c370f"
		if got := hex.EncodeToString(request); got != want {
			s.Fatalf("the official request is %s", got)
		}
		got, _, err := stun.ParseResponse(s.asker().ask(request))
		if err != nil || got != id {
			s.Errorf("answer has id %x, %v", got, err)
		}
	})
}

// fingerprinted completes a message of attributes by a header and a valid FINGERPRINT.
func fingerprinted(attributes ...[]byte) []byte {
	id := stun.NewTxID()
	body := bytes.Join(attributes, nil)
	message := binary.BigEndian.AppendUint16([]byte{0, 1}, uint16(len(body)+8))
	message = slices.Concat(message, []byte{0x21, 0x12, 0xa4, 0x42}, id[:], body)
	sum := crc32.ChecksumIEEE(message) ^ 0x5354554e
	return binary.BigEndian.AppendUint32(append(message, 0x80, 0x28, 0, 4), sum)
}

func attribute(kind uint16, value string) []byte {
	encoded := binary.BigEndian.AppendUint16(nil, kind)
	encoded = binary.BigEndian.AppendUint16(encoded, uint16(len(value)))
	encoded = append(encoded, value...)
	return append(encoded, make([]byte, -len(value)&3)...)
}

func TestS88_OnlyValidRequestsAreAnswered(t *testing.T) {
	statement(t, 88, []string{overAny}, func(s *scene) {
		const software = 0x8022
		a := s.asker()
		a.expectOwnAddress()
		valid := fingerprinted(attribute(software, "tailnode"))
		a.expectIgnored("no fingerprint", valid[:len(valid)-8])
		a.expectIgnored("a wrong fingerprint", changed(valid, len(valid)-1, valid[len(valid)-1]^1))
		a.expectIgnored("no software", fingerprinted())
		a.expectIgnored("other software", fingerprinted(attribute(software, "tailnod")))
		a.expectIgnored("longer software", fingerprinted(attribute(software, "tailnodes")))
		a.expectIgnored("an attribute beyond the end", fingerprinted(attribute(software, "tailnode"), []byte{0, 6, 0, 40, 1, 2, 3, 4}))
		a.expectIgnored("half an attribute", fingerprinted(attribute(software, "tailnode"), []byte{0, 6}))
		a.expectIgnored("bytes after the fingerprint", append(bytes.Clone(valid), attribute(6, "user")...))
		for kind, name := range map[byte]string{0: "method 0", 2: "method 2"} {
			a.expectIgnored(name, changed(valid, 1, kind))
		}
		a.expectIgnored("an indication", changed(valid, 1, 0x11))
		a.expectIgnored("a response", changed(valid, 0, 1))

		// Requests that upstream's parser accepts, but that clients do not send.
		for name, message := range map[string][]byte{
			"software behind another attribute": fingerprinted(attribute(6, "user"), attribute(software, "tailnode")),
			"padded attribute":                  fingerprinted(attribute(software, "tailnode"), attribute(6, "x")),
		} {
			id, _, err := stun.ParseResponse(a.ask(message))
			if err != nil || id != stun.TxID(message[8:20]) {
				s.Errorf("%s is answered with id %x, %v", name, id, err)
			}
		}
	})
}

func TestS108_AnswersLeaveFromTheAddressThatWasAsked(t *testing.T) {
	statement(t, 108, []string{overAny}, func(s *scene) {
		started := s.own(relay.Options{AllAddresses: true})
		for _, asked := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.9"} {
			from := s.answerFrom(netip.AddrPortFrom(netip.MustParseAddr(asked), uint16(started.STUNPort)))
			if want := netip.MustParseAddr(asked); asked != "127.0.0.1" && s.differs(catalogue.AnswersFromAnyAddress) {
				if from == want {
					s.Errorf("%s answers from its own address, which this release is said not to do", asked)
				}
			} else if from != want {
				s.Errorf("%s was asked, %s answered", asked, from)
			}
		}
	})
}

// answerFrom asks one address of the relay from a socket that takes answers from all, and says which one answered.
func (s *scene) answerFrom(address netip.AddrPort) netip.Addr {
	s.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	id := stun.NewTxID()
	buffer := make([]byte, 2048)
	for range 5 {
		if _, err := conn.WriteToUDPAddrPort(stun.Request(id), address); err != nil {
			s.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
			s.Fatal(err)
		}
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			s.Fatal(err)
		}
		if got, _, err := stun.ParseResponse(buffer[:n]); err != nil || got != id {
			s.Fatalf("answer %x: %v", buffer[:n], err)
		}
		return from.Addr().Unmap()
	}
	s.Fatalf("no STUN answer from %v", address)
	return netip.Addr{}
}
