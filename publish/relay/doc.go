// Package relay moves what is stored on this machine to a cluster, in order, however long
// the cluster was away. A [Relay] reads each local stream through a durable consumer and
// acknowledges a batch when the cluster has acknowledged it. After a crash the last batch
// is sent again; the cluster's duplicate window drops it.
package relay
