package main

import (
	"fmt"
	"time"
)

const (
	// meshPatience is longer than derper's pause before it tries another relay of its region again, 5 s.
	meshPatience = 20 * time.Second
	meshRetry    = 50 * time.Millisecond
)

// awaitMesh sends a batch from each pair again and again until one of its packets has arrived: the relay of the senders
// then knows where the receivers are. What got lost until then is not counted as outstanding.
func (l *loop) awaitMesh() error {
	end := now() + int64(meshPatience)
	for missing := len(l.pairs); missing > 0; {
		if now() > end {
			return fmt.Errorf("no packet of %d pairs has reached the other relay within %v", missing, meshPatience)
		}
		missing = 0
		for _, p := range l.pairs {
			if p.Delivered > 0 {
				continue
			}
			missing++
			if p.blocked() {
				continue
			}
			if err := l.send(p); err != nil {
				return err
			}
		}
		if err := l.runUntil(now() + int64(meshRetry)); err != nil {
			return err
		}
	}
	if err := l.drain(); err != nil {
		return err
	}
	for _, p := range l.pairs {
		p.acked = p.Sent
	}
	return nil
}
