package main

import (
	"cmp"
	"errors"
	"flag"
	"time"
)

// loadFlags is the command line of "load".
type loadFlags struct {
	address string
	pid     int
	// receivers is where the receivers connect to; empty for address. receiversPid is then that relay's process.
	receivers    string
	receiversPid int
	// streamTo is the key that one more client sends to, as hex; empty for none.
	streamTo   string
	streamRate float64
	// layout says which relay threads the clients of a pair are in; empty for any. metrics then tells the threads.
	layout     string
	metrics    string
	mode       string
	pairs      int
	shape      shape
	window     int
	rate       float64
	warm       time.Duration
	windows    int
	windowTime time.Duration
	probe      bool
}

// windowResult is what was measured in one window.
type windowResult struct {
	Seconds float64 `json:"seconds"`
	counts
	ServerSeconds float64 `json:"serverSeconds"`
	// Shares are of one CPU.
	ServerShare    float64  `json:"serverShare"`
	GeneratorShare float64  `json:"generatorShare"`
	ForeignShare   float64  `json:"foreignShare"`
	P50            *float64 `json:"p50Us"`
	P99            *float64 `json:"p99Us"`
}

type loadResult struct {
	Windows []windowResult `json:"windows"`
	Total   counts         `json:"total"`
	Stream  *stream        `json:"stream,omitempty"`
	// Stalls are windows of a pair that were given up; missed batches of an open load were never sent.
	Stalls     uint64   `json:"stalls"`
	Missed     uint64   `json:"missed"`
	LagP99     *float64 `json:"lagP99Us"`
	PongP50    *float64 `json:"pongP50Us"`
	PongP99    *float64 `json:"pongP99Us"`
	PongMax    float64  `json:"pongMaxUs"`
	RSSAtStart int64    `json:"rssAtStart"`
	RSSPeak    int64    `json:"rssPeak"`
	// GeneratorLimited says that the generator's CPU was full while the relay's was not.
	GeneratorLimited bool   `json:"generatorLimited"`
	Error            string `json:"error,omitempty"`
}

func runLoad(flags *flag.FlagSet, arguments []string) (*loadResult, error) {
	var f loadFlags
	flags.StringVar(&f.address, "address", "", "loopback address of the relay")
	flags.IntVar(&f.pid, "pid", 0, "process id of the relay")
	flags.StringVar(&f.receivers, "receivers-address", "", "loopback address of another relay of the region, for the receivers")
	flags.IntVar(&f.receiversPid, "receivers-pid", 0, "its process id; the CPU of both relays is counted")
	flags.StringVar(&f.streamTo, "stream-to", "", "key, as hex, that one more client sends packets to")
	flags.Float64Var(&f.streamRate, "stream-rate", 5000, "packets per second of that client")
	flags.StringVar(&f.layout, "layout", "", "relay threads of the pairs: same (the main one), both (half of the pairs in each of two), across (sender and receiver in different ones); apart (half of the pairs at -address, half at -receivers-address)")
	flags.StringVar(&f.metrics, "metrics", "", "URL of the relay's metrics, for -layout")
	flags.StringVar(&f.mode, "mode", modeClosed, "closed (a window per pair), rate (evenly spaced), flood (as the sockets take)")
	flags.IntVar(&f.pairs, "pairs", 10, "pairs of clients")
	flags.IntVar(&f.shape.size, "size", 1200, "bytes of a packet")
	flags.IntVar(&f.shape.framesPerRecord, "frames-per-record", 1, "frames in one TLS record")
	flags.IntVar(&f.shape.recordsPerWrite, "records-per-write", 11, "records in one system call")
	flags.IntVar(&f.window, "window", 44, "packets under way per pair, mode closed")
	flags.Float64Var(&f.rate, "rate", 20000, "packets per second, mode rate")
	flags.DurationVar(&f.warm, "warm", 2*time.Second, "before anything is measured")
	flags.IntVar(&f.windows, "windows", 3, "measured windows")
	flags.DurationVar(&f.windowTime, "window-time", 800*time.Millisecond, "length of a window")
	flags.BoolVar(&f.probe, "probe", false, "measure the delay of pings by one more client")
	_ = flags.Parse(arguments)
	if err := checkLoopback(f.address); err != nil {
		return nil, err
	}
	if f.receivers != "" {
		if err := checkLoopback(f.receivers); err != nil {
			return nil, err
		}
	}
	if f.shape.size < minPacketBytes || f.shape.size > 65536 || f.shape.batch() < 1 || f.pairs < 1 || f.rate <= 0 || f.streamRate <= 0 {
		return nil, errors.New("a size, batch, rate or number of pairs is out of range")
	}
	if f.mode == modeClosed && f.window < f.shape.batch() {
		return nil, errors.New("the window must hold a batch")
	}
	l, err := f.open()
	if err != nil {
		return nil, err
	}
	if f.receivers != "" && f.layout != layoutApart {
		if err := l.awaitMesh(); err != nil {
			return nil, err
		}
	}
	return f.measure(l)
}

func (f *loadFlags) open() (*loop, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	l.mode, l.window, l.interval = f.mode, f.window, float64(f.shape.batch())/f.rate*1e9
	threads := &threadClients{connect: func() (*client, error) { return f.client(f.address) }, metrics: f.metrics}
	defer threads.close()
	for i := range f.pairs {
		sender, receiver, err := f.clients(threads, i)
		if err != nil {
			return nil, err
		}
		p := newPair(i, sender, receiver, f.shape)
		l.pairs = append(l.pairs, p)
		if err := errors.Join(l.watch(watched{client: sender, pair: p}), l.watch(watched{client: receiver, pair: p, receiving: true})); err != nil {
			return nil, err
		}
	}
	if f.streamTo != "" {
		c, err := f.client(f.address)
		if err != nil {
			return nil, err
		}
		if l.stream, err = newStream(c, f.streamTo, f.shape.size, f.streamRate); err != nil {
			return nil, err
		}
		if err := l.watch(watched{client: c}); err != nil {
			return nil, err
		}
	}
	if f.probe {
		if l.probe, err = f.client(f.address); err != nil {
			return nil, err
		}
		return l, l.watch(watched{client: l.probe})
	}
	return l, nil
}

// clients connects the two clients of a pair.
func (f *loadFlags) clients(threads *threadClients, pair int) (sender, receiver *client, err error) {
	if f.layout != "" && f.layout != layoutApart {
		return threads.pair(f.layout, pair)
	}
	from, to := f.address, cmp.Or(f.receivers, f.address)
	if f.layout == layoutApart {
		from = []string{f.address, to}[pair%2]
		to = from
	}
	if sender, err = f.client(from); err != nil {
		return nil, nil, err
	}
	receiver, err = f.client(to)
	return sender, receiver, err
}

func (f *loadFlags) client(address string) (*client, error) {
	c, err := connect(address)
	if err != nil {
		return nil, err
	}
	return c, c.prepare(f.shape.frameBytes())
}

// pids are the relays whose CPU is counted.
func (f *loadFlags) pids() []int {
	if f.receivers == "" {
		return []int{f.pid}
	}
	return []int{f.pid, f.receiversPid}
}

func (f *loadFlags) measure(l *loop) (*loadResult, error) {
	result := &loadResult{}
	earlier := l.totals()
	var err error
	if result.RSSAtStart, err = memory(f.pid, "VmRSS"); err != nil {
		return nil, err
	}
	l.producing, l.due = true, float64(now())
	err = l.runUntil(now() + int64(f.warm))
	l.lag.reset()
	l.pong.reset()
	for range f.windows {
		if err != nil {
			break
		}
		var w windowResult
		if w, err = f.measureWindow(l); err == nil {
			result.Windows = append(result.Windows, w)
		}
	}
	l.producing = false
	result.LagP99, result.PongP50, result.PongP99 = l.lag.quantile(0.99), l.pong.quantile(0.5), l.pong.quantile(0.99)
	result.PongMax = float64(l.pong.max) / 1000
	if err == nil {
		err = l.drain()
	}
	result.Total = l.totals().minus(earlier)
	result.Total.Lost = result.Total.Sent - result.Total.Delivered
	result.Stream = l.stream
	result.Stalls, result.Missed = l.stalls, l.missed
	result.GeneratorLimited = limited(result.Windows)
	if peak, problem := memory(f.pid, "VmHWM"); problem == nil {
		result.RSSPeak = peak
	} else {
		err = errors.Join(err, problem)
	}
	if err != nil {
		result.Error = err.Error()
	}
	return result, err
}

func (f *loadFlags) measureWindow(l *loop) (windowResult, error) {
	l.latency.reset()
	countsBefore := l.totals()
	before, err := readUsage(f.pids()...)
	if err != nil {
		return windowResult{}, err
	}
	if err := l.runUntil(before.at + int64(f.windowTime)); err != nil {
		return windowResult{}, err
	}
	after, err := readUsage(f.pids()...)
	if err != nil {
		return windowResult{}, err
	}
	wall := float64(after.at - before.at)
	server, self := float64(after.server-before.server), float64(after.self-before.self)
	return windowResult{
		Seconds: wall / 1e9, counts: l.totals().minus(countsBefore),
		ServerSeconds: server / 1e9, ServerShare: server / wall, GeneratorShare: self / wall,
		ForeignShare: max(0, (float64(after.machine-before.machine)-server-self)/wall),
		P50:          l.latency.quantile(0.5), P99: l.latency.quantile(0.99),
	}, nil
}

func limited(windows []windowResult) bool {
	full := 0
	for _, w := range windows {
		if w.GeneratorShare > 0.93 && w.ServerShare < 0.93 {
			full++
		}
	}
	return 2*full > len(windows)
}

func (l *loop) totals() (sum counts) {
	for _, p := range l.pairs {
		sum.add(p.counts)
	}
	return sum
}

func (l *loop) runUntil(end int64) error {
	for now() < end {
		if err := l.turn(); err != nil {
			return err
		}
	}
	return nil
}

// drain waits for the packets under way, until none arrives for some time.
func (l *loop) drain() error {
	const quiet, longest = 300 * time.Millisecond, 5 * time.Second
	last, lastAt, end := l.totals(), now(), now()+int64(longest)
	for now() < end && now()-lastAt < int64(quiet) {
		if err := l.turn(); err != nil {
			return err
		}
		seen := l.totals()
		if seen.Delivered == seen.Sent {
			return nil
		}
		if seen.Delivered != last.Delivered {
			last, lastAt = seen, now()
		}
	}
	return nil
}
