// Package examples tests the programs in its folders, the commands of the README and
// the guide, and the documents for tools, with a real gateway. make examples installs
// what the tests need and runs them.
package examples
