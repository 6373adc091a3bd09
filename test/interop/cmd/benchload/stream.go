package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// stream is a client that sends evenly spaced packets to a key which is no client of this load.
type stream struct {
	client *client
	record []byte
	// interval is between two packets and due is the time of the next one, in nanoseconds.
	interval, due float64
	// Sent packets; skipped ones were due while the relay did not read.
	Sent    uint64 `json:"sent"`
	Skipped uint64 `json:"skipped"`
}

// newStream takes the destination as 64 hex digits, the bytes of a packet and packets per second.
func newStream(c *client, destination string, size int, rate float64) (*stream, error) {
	key, err := hex.DecodeString(destination)
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("%q is not a key of 64 hex digits", destination)
	}
	record := binary.BigEndian.AppendUint32([]byte{frameSendPacket}, uint32(keyBytes+size))
	record = append(append(record, key...), make([]byte, size)...)
	return &stream{client: c, record: record, interval: 1e9 / rate}, nil
}

// produce sends the due packets.
func (s *stream) produce(at int64) error {
	if float64(at)-s.due > float64(scheduleReset) {
		s.due = float64(at)
	}
	for ; s.due <= float64(at); s.due += s.interval {
		if err := s.client.socket.flush(); err != nil {
			return fmt.Errorf("the stream: %w", err)
		}
		if len(s.client.socket.out) > 0 {
			s.Skipped++
			continue
		}
		if _, err := s.client.tls.Write(s.record); err != nil {
			return fmt.Errorf("the stream: %w", err)
		}
		s.Sent++
	}
	return s.client.socket.flush()
}
