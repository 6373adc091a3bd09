package main

import "math/bits"

const (
	subBits = 5
	buckets = 64 << subBits
)

// histogram counts nanoseconds in buckets that are 3 % wide.
type histogram struct {
	counts [buckets]uint32
	total  uint64
	max    int64
}

func (h *histogram) add(ns int64) {
	if ns < 0 {
		ns = 0
	}
	if ns > h.max {
		h.max = ns
	}
	h.counts[bucketOf(uint64(ns))]++
	h.total++
}

func bucketOf(value uint64) int {
	if value < 1<<subBits {
		return int(value)
	}
	shift := bits.Len64(value) - subBits - 1
	return (shift+1)<<subBits + int(value>>shift) - 1<<subBits
}

func bucketValue(bucket int) int64 {
	if bucket < 1<<subBits {
		return int64(bucket)
	}
	shift := bucket>>subBits - 1
	return int64(bucket&(1<<subBits-1)+1<<subBits) << shift
}

// quantile returns microseconds, or nil when nothing was counted.
func (h *histogram) quantile(q float64) *float64 {
	if h.total == 0 {
		return nil
	}
	rank := uint64(q * float64(h.total))
	var seen uint64
	for bucket, count := range h.counts {
		seen += uint64(count)
		if seen > rank || seen == h.total {
			us := float64(bucketValue(bucket)) / 1000
			return &us
		}
	}
	return nil
}

func (h *histogram) reset() { *h = histogram{} }
