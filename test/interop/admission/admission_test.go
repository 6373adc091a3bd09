package admission

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailscale.com/types/key"
)

const (
	refresh = 3 * time.Second
	// slack is for the request that a refresh makes, on a busy machine.
	slack     = 2 * time.Second
	firstPing = 30 * time.Second
)

// TestHeadscaleVerify asks Headscale's /verify about each connection.
func TestHeadscaleVerify(t *testing.T) {
	r := newTowpath(t)
	h := startHeadscale(t, r)
	r.start(fmt.Sprintf("    - { kind: headscale, name: hs, url: '%s', mode: verify, cacheSeconds: 0, refreshSeconds: %d }\n", h.url, int(refresh.Seconds())))
	protects(t, r, h, "hs")
}

// TestHeadscaleAPI reads the list of nodes from Headscale's API.
func TestHeadscaleAPI(t *testing.T) {
	r := newTowpath(t)
	h := startHeadscale(t, r)
	file := filepath.Join(r.dir, "api.key")
	write(t, file, h.apiKey()+"\n")
	r.start(fmt.Sprintf("    - { kind: headscale, name: hs, url: '%s', apiKeyFile: api.key, refreshSeconds: %d }\n", h.url, int(refresh.Seconds())))
	protects(t, r, h, "hs")
}

// TestTailscaled asks the tailscaled of one node, as derper -verify-clients does.
func TestTailscaled(t *testing.T) {
	r := newTowpath(t)
	h := startHeadscale(t, r)
	// This node runs next to the relay; its only task is to know the other nodes.
	beside := startNode(t, "beside", h, h.authKey())
	r.start(fmt.Sprintf("    - { kind: tailscaled, name: local, socket: %s, cacheSeconds: 0, refreshSeconds: %d }\n", beside.socket(), int(refresh.Seconds())))
	protects(t, r, h, "local")
}

// protects has two members connect, a stranger refused, and a removed node disconnected.
func protects(t *testing.T, r *towpath, h *headscale, source string) {
	t.Helper()
	authKey := h.authKey()
	a, b := startNode(t, "a", h, authKey), startNode(t, "b", h, authKey)
	line := a.ping(b, firstPing)
	t.Logf("member: %s", line)
	if !strings.Contains(line, "via DERP(own)") {
		t.Fatalf("the ping did not take the relay: %s", line)
	}
	if admits := r.metric(fmt.Sprintf("towpath_admission_admits_total{source=%q}", source)); admits < 2 {
		t.Errorf("%v admissions by %s", admits, source)
	}
	refusesStranger(t, r, source)
	cutsOff(t, r, h, source, b)
	if _, err := a.try("ping", "-c=1", "--until-direct=false", "--timeout=1s", b.address); err == nil {
		t.Error("the removed node still answers")
	}
}

func refusesStranger(t *testing.T, r *towpath, source string) {
	t.Helper()
	stranger := key.NewNode()
	_, message, err := r.dial(stranger)
	if err == nil {
		t.Fatalf("a stranger is let in and gets %#v", message)
	}
	entry := r.refusal(stranger.Public().String(), false)
	if entry == nil || entry.Source != source || entry.Reason != "unknown_key" || entry.IP != "127.0.0.1" {
		t.Fatalf("the stranger's refusal is listed as %+v", entry)
	}
	if count := r.metric(fmt.Sprintf("towpath_admission_refusals_total{source=%q,reason=\"unknown_key\"}", source)); count < 1 {
		t.Errorf("%v refusals are counted", count)
	}
	await(t, startPatience, "the refusal is in the log", func() bool {
		return r.logLine("not admitted", entry.Key, `"source":"`+source+`"`) != ""
	})
	t.Logf("stranger: %v; %s: %s (%s) %s", err, entry.Source, entry.Reason, entry.Detail, entry.Key)
}

func cutsOff(t *testing.T, r *towpath, h *headscale, source string, removed *node) {
	t.Helper()
	listed := h.node(removed.name)
	// A second connection with the key of the node, because tailscaled itself goes when it hears of its removal.
	private, err := removed.privateKey()
	if err != nil {
		t.Fatal(err)
	}
	if private.Public().String() != listed.NodeKey {
		t.Fatalf("%s has the key %v, and Headscale knows %s", removed.name, private.Public(), listed.NodeKey)
	}
	client, message, err := r.dial(private)
	if err != nil {
		t.Fatalf("the key of a member is refused: %v", err)
	}
	t.Logf("second connection of the member: %T", message)
	gone := make(chan error, 1)
	go func() {
		for {
			if _, err := client.Recv(); err != nil {
				gone <- err
				return
			}
		}
	}()

	h.remove(listed)
	start := time.Now()
	select {
	case err := <-gone:
		t.Logf("removed node: cut off %.1f s after its removal (refresh every %v): %v", time.Since(start).Seconds(), refresh, err)
	case <-time.After(refresh + slack):
		t.Fatal("the removed node is still connected")
	}
	await(t, slack, "the end is counted", func() bool {
		return r.metric(fmt.Sprintf("towpath_admission_ended_total{source=%q,reason=\"unknown_key\"}", source)) >= 1
	})
	entry := r.refusal(listed.NodeKey, true)
	if entry == nil {
		t.Fatal("the end is not listed")
	}
	if _, _, err := r.dial(private); err == nil {
		t.Error("the removed node comes in again")
	}
	if again := r.refusal(listed.NodeKey, false); again == nil {
		t.Error("its refusal is not listed")
	}
}
