// Package validate tests the Helm chart in ../postback-gateway. It has no code but
// its tests, and is a module of its own so that the types of Kubernetes stay out
// of what users build.
//
// The tests render the chart with helm for the sets of values in ../testdata, and
// compare what comes out with the real things: the types of Kubernetes and of the
// operators, the restricted profile of the Pod Security Standards, and the gateway
// itself, which is built, asked for its settings, and run.
//
// Run them by make helm in the root of the project, which builds the pinned helm
// and names it in the variable HELM.
package validate
