// Package conformance drives a running relay from outside with the official client packages and with raw bytes, one
// test for each statement of the catalogue.
//
// It is run with RELAY=derper-1.102.5 and derper-1.104.5 first, to know that it describes upstream, and then with RELAY=towpath.
package conformance
