module towpath.example/interop/newer

go 1.27.3

require tailscale.com v1.104.5

replace github.com/tailscale/setec => github.com/tailscale/setec v0.0.0-20251203133219-2ab774e4129a
