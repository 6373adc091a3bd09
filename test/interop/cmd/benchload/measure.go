package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what the machine has spent so far, in nanoseconds.
type usage struct {
	at int64
	// server is that of all relays under test.
	server int64
	self   int64
	// machine is the busy time of all CPUs, in steps of 10 ms.
	machine int64
}

var started = time.Now()

// now is monotonic and counts from the start of the process.
func now() int64 { return int64(time.Since(started)) }

func readUsage(pids ...int) (usage, error) {
	var server int64
	for _, pid := range pids {
		spent, err := processCPU(pid)
		if err != nil {
			return usage{}, err
		}
		server += spent
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return usage{}, err
	}
	machine, err := machineCPU()
	return usage{at: now(), server: server, self: self.Utime.Nano() + self.Stime.Nano(), machine: machine}, err
}

// processCPU sums the threads, because the scheduler's own count is exact where utime and stime have 10 ms steps.
func processCPU(pid int) (int64, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("the relay, process %d, has ended", pid)
	}
	var sum int64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += ns
	}
	return sum, nil
}

// processTicks counts in steps of 10 ms, and counts threads that have ended, too: for long and quiet stretches.
func processTicks(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("the relay, process %d, has ended", pid)
	}
	// The name, in brackets, may hold anything. User and system time are the 14th and 15th field.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var sum int64
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += ticks * 10_000_000
	}
	return sum, nil
}

func machineCPU() (int64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	var busy int64
	for index, field := range strings.Fields(first)[1:] {
		// user nice system idle iowait irq softirq steal; guest time is part of user.
		if index == 3 || index == 4 || index > 7 {
			continue
		}
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		busy += ticks
	}
	return busy * int64(10*time.Millisecond), nil
}

// memory reads a line of /proc/PID/status in bytes: VmRSS or VmHWM.
func memory(pid int, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s is not in /proc/%d/status", name, pid)
}
