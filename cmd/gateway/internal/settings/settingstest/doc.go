// Package settingstest sets up the environment of tests.
package settingstest
