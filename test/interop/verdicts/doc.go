// Package verdicts compares what the official client does with a relay of a certain certificate and map entry with what
// "towpath probe" says about it.
package verdicts
