package e2e

import (
	"testing"

	"tailscale.com/tailcfg"
	"towpath.example/interop/relay"
)

// region returns the one region of a DERP map.
func region(t *testing.T, derpMap *tailcfg.DERPMap) *tailcfg.DERPRegion {
	t.Helper()
	if len(derpMap.Regions) != 1 {
		t.Fatalf("the DERP map has %d regions", len(derpMap.Regions))
	}
	for id, region := range derpMap.Regions {
		if id != region.RegionID || len(region.Nodes) != 1 {
			t.Fatalf("region %d is %+v", id, region)
		}
		return region
	}
	return nil
}

// derpMapOf is the DERP map that an operator would give to the control server for this relay: the one that towpath
// prints, or one made by hand for derper, which prints none.
func derpMapOf(t *testing.T, r *relay.Relay, pinned bool) *tailcfg.DERPMap {
	t.Helper()
	derpMap := &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{900: r.Region()}}
	if r.Target == relay.Towpath {
		var err error
		if derpMap, err = r.PrintedDERPMap(); err != nil {
			t.Fatal(err)
		}
	}
	derpMap.OmitDefaultRegions = true
	node := region(t, derpMap).Nodes[0]
	// On the loopback there is one address family, and a loopback address must be allowed explicitly for STUN.
	node.STUNTestIP, node.IPv6 = r.Host, "none"
	switch {
	case !pinned:
		node.CertName = ""
	case node.CertName != r.Certificate.Pin():
		t.Fatalf("CertName is %q, the certificate has the pin %q", node.CertName, r.Certificate.Pin())
	}
	return derpMap
}
