package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	pairAt    = 0
	seqAt     = 4
	timeAt    = 12
	patternAt = 20
	// minPacketBytes has room for what every packet carries.
	minPacketBytes = patternAt
)

// shape is how packets become records and system calls.
type shape struct {
	size            int
	framesPerRecord int
	recordsPerWrite int
}

func (s shape) frameBytes() int { return headerBytes + keyBytes + s.size }
func (s shape) batch() int      { return s.framesPerRecord * s.recordsPerWrite }

// counts of one pair; all but lost are of packets that were really seen.
type counts struct {
	Sent      uint64 `json:"sent"`
	Delivered uint64 `json:"delivered"`
	// Lost is known from gaps in the sequence.
	Lost uint64 `json:"lost"`
	// Skipped packets were due and not sent, because the relay did not read.
	Skipped uint64 `json:"skipped"`
}

func (c *counts) add(other counts) {
	c.Sent += other.Sent
	c.Delivered += other.Delivered
	c.Lost += other.Lost
	c.Skipped += other.Skipped
}

func (c counts) minus(other counts) counts {
	return counts{c.Sent - other.Sent, c.Delivered - other.Delivered, c.Lost - other.Lost, c.Skipped - other.Skipped}
}

// pair is a sender and the receiver of all that it sends.
type pair struct {
	index    uint32
	sender   *client
	receiver *client
	shape    shape
	counts
	// record is the frames of one TLS record, of which only sequence and time change.
	record  []byte
	pattern []byte
	// expected is the next sequence number; acked is the same or later when a loss was assumed.
	expected, acked, ackedBefore uint64
}

func newPair(index int, sender, receiver *client, s shape) *pair {
	p := &pair{index: uint32(index), sender: sender, receiver: receiver, shape: s}
	p.pattern = make([]byte, s.size-patternAt)
	for i := range p.pattern {
		p.pattern[i] = byte(i*7 + index*13 + i>>8)
	}
	for range s.framesPerRecord {
		p.record = append(p.record, frameSendPacket)
		p.record = binary.BigEndian.AppendUint32(p.record, uint32(keyBytes+s.size))
		p.record = append(p.record, receiver.public[:]...)
		p.record = binary.BigEndian.AppendUint32(p.record, p.index)
		p.record = append(p.record, make([]byte, patternAt-seqAt)...)
		p.record = append(p.record, p.pattern...)
	}
	return p
}

// blocked says that the relay has not taken what was sent before.
func (p *pair) blocked() bool { return len(p.sender.socket.out) > 0 }

// outstanding packets were sent and neither arrived nor are given up.
func (p *pair) outstanding() int { return int(p.Sent - p.acked) }

// send writes one batch with one system call.
func (p *pair) send(at int64) error {
	frame := p.shape.frameBytes()
	for range p.shape.recordsPerWrite {
		for packet := headerBytes + keyBytes; packet < len(p.record); packet += frame {
			binary.BigEndian.PutUint64(p.record[packet+seqAt:], p.Sent)
			binary.BigEndian.PutUint64(p.record[packet+timeAt:], uint64(at))
			p.Sent++
		}
		if _, err := p.sender.tls.Write(p.record); err != nil {
			return fmt.Errorf("pair %d, sending: %w", p.index, err)
		}
	}
	if err := p.sender.socket.flush(); err != nil {
		return fmt.Errorf("pair %d, sending: %w", p.index, err)
	}
	return nil
}

// receive takes all that has arrived.
func (p *pair) receive(latency *histogram) error {
	return p.receiver.drain(func(at int64, kind byte, payload []byte) error {
		if kind != frameRecvPacket {
			return nil
		}
		return p.check(at, payload, latency)
	})
}

func (p *pair) check(at int64, payload []byte, latency *histogram) error {
	if len(payload) != keyBytes+p.shape.size {
		return fmt.Errorf("pair %d: a packet of %d bytes instead of %d", p.index, len(payload)-keyBytes, p.shape.size)
	}
	if !bytes.Equal(payload[:keyBytes], p.sender.public[:]) {
		return fmt.Errorf("pair %d: wrong source key", p.index)
	}
	packet := payload[keyBytes:]
	if binary.BigEndian.Uint32(packet[pairAt:]) != p.index || !bytes.Equal(packet[patternAt:], p.pattern) {
		return fmt.Errorf("pair %d: a packet was corrupted", p.index)
	}
	seq := binary.BigEndian.Uint64(packet[seqAt:])
	if seq < p.expected || seq >= p.Sent {
		return fmt.Errorf("pair %d: packet %d came where %d was due, of %d sent", p.index, seq, p.expected, p.Sent)
	}
	p.Lost += seq - p.expected
	p.expected = seq + 1
	p.acked = max(p.acked, p.expected)
	p.Delivered++
	latency.add(at - int64(binary.BigEndian.Uint64(packet[timeAt:])))
	return nil
}

// giveUp assumes the rest of the window lost when nothing has arrived since the last call.
func (p *pair) giveUp() (stalled bool) {
	stalled = p.acked == p.ackedBefore && p.acked < p.Sent
	if stalled {
		p.acked = p.Sent
	}
	p.ackedBefore = p.acked
	return stalled
}

// drain reads until nothing is left and hands over whole frames with the time of their read.
func (c *client) drain(frame func(at int64, kind byte, payload []byte) error) error {
	for {
		if _, err := c.fill(); err != nil {
			if errors.Is(err, errWouldBlock) {
				return nil
			}
			if errors.Is(err, io.EOF) {
				return errors.New("the relay closed a connection")
			}
			return err
		}
		at := now()
		for {
			kind, payload, ok := c.nextFrame()
			if !ok {
				break
			}
			if err := frame(at, kind, payload); err != nil {
				return err
			}
		}
	}
}
