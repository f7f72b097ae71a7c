// Package stream knows the gateway's streams: their names, subjects and settings. It
// creates and checks them, sends messages in order, and reads messages back.
package stream
