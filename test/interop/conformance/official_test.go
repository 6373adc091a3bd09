package conformance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
	"towpath.example/interop/relay"
)

// official is a client of the official packages: derphttp over TLS, by region and pin as tailscaled uses it, and derp on
// a WebSocket that is dialed here, because derphttp chooses it for the whole process only.
type official struct {
	*scene
	private key.NodePrivate
	sender  interface {
		Send(key.NodePublic, []byte) error
	}
	ping  func() error
	close func() error
	// info is what the relay announced.
	info derp.ServerInfoMessage
	// inbox ends with the first receive error.
	inbox chan derp.ReceivedMessage
}

func regionClient(r *relay.Relay, private key.NodePrivate, pin string) *derphttp.Client {
	region := r.Region()
	region.Nodes[0].CertName = pin
	return derphttp.NewRegionClient(private, logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion { return region })
}

// official connects an official client and takes its ServerInfo, which must come first. Over TLS, adjust changes the client
// before it connects.
func (s *scene) official(adjust ...func(*derphttp.Client)) *official {
	s.Helper()
	o := &official{scene: s, private: key.NewNode(), inbox: make(chan derp.ReceivedMessage, 1000)}
	receive := func() func() (derp.ReceivedMessage, error) { return o.connectTLS(adjust) }
	if s.over == overWebSocket {
		receive = o.connectWebSocket
	}
	next := receive()
	s.Cleanup(func() { o.close() })
	go func() {
		defer close(o.inbox)
		for {
			message, err := next()
			if err != nil {
				return
			}
			if received, ok := message.(derp.ReceivedPacket); ok {
				received.Data = bytes.Clone(received.Data)
				message = received
			}
			o.inbox <- message
		}
	}()
	first := o.next()
	info, ok := first.(derp.ServerInfoMessage)
	if !ok {
		s.Fatalf("first message is %#v", first)
	}
	o.info = info
	return o
}

func (o *official) connectTLS(adjust []func(*derphttp.Client)) func() (derp.ReceivedMessage, error) {
	o.Helper()
	client := regionClient(o.relay, o.private, o.relay.Certificate.Pin())
	for _, change := range adjust {
		change(client)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := client.Connect(ctx); err != nil {
		o.Fatal(err)
	}
	o.sender, o.close = client, client.Close
	o.ping = func() error { return client.Ping(context.Background()) }
	return client.Recv
}

func (o *official) connectWebSocket() func() (derp.ReceivedMessage, error) {
	o.Helper()
	conn, err := open(o.relay, overWebSocket)
	if err != nil {
		o.Fatal(err)
	}
	client, err := derp.NewClient(o.private, conn, bufio.NewReadWriter(conn.reader, bufio.NewWriter(conn)), logger.Discard)
	if err != nil {
		o.Fatal(err)
	}
	o.sender, o.close = client, conn.Close
	o.ping = func() error { return o.pingByHand(client) }
	return client.Recv
}

// pingByHand does for a plain derp client what derphttp's Ping does.
func (o *official) pingByHand(client *derp.Client) error {
	data := [8]byte([]byte(time.Now().Format("05.00000")))
	if err := client.SendPing(data); err != nil {
		return err
	}
	select {
	case message := <-o.inbox:
		if message != derp.PongMessage(data) {
			return errors.New("the answer to the ping is something else")
		}
		return nil
	case <-time.After(patience):
		return errors.New("no pong")
	}
}

func (o *official) public() key.NodePublic { return o.private.Public() }

func (o *official) send(destination key.NodePublic, data []byte) {
	o.Helper()
	if err := o.sender.Send(destination, data); err != nil {
		o.Fatal(err)
	}
}

// next returns the next message that is not KeepAlive or Health.
func (o *official) next() derp.ReceivedMessage {
	o.Helper()
	deadline := time.After(patience)
	for {
		select {
		case message, ok := <-o.inbox:
			if !ok {
				o.Fatal("the official client lost its connection")
			}
			switch message.(type) {
			case derp.KeepAliveMessage, derp.HealthMessage:
			default:
				return message
			}
		case <-deadline:
			o.Fatal("the official client received nothing")
		}
	}
}

func (o *official) expectPacket(source key.NodePublic, data []byte) {
	o.Helper()
	received, ok := o.next().(derp.ReceivedPacket)
	if !ok || received.Source != source || !bytes.Equal(received.Data, data) {
		o.Fatalf("received %#v", received)
	}
}

func (o *official) expectGone(who key.NodePublic, reason derp.PeerGoneReasonType) {
	o.Helper()
	if got, want := o.next(), (derp.PeerGoneMessage{Peer: who, Reason: reason}); got != want {
		o.Fatalf("received %#v instead of %#v", got, want)
	}
}

// expectNothing shows by a ping that no message waits.
func (o *official) expectNothing() {
	o.Helper()
	for range 3 {
		if err := o.ping(); err != nil {
			o.Fatal(err)
		}
	}
	select {
	case message := <-o.inbox:
		o.Fatalf("unexpected %#v", message)
	default:
	}
}
