package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// look is how a page is displayed.
type look struct {
	width int64
	dark  bool
}

func (l look) String() string {
	if l.dark {
		return fmt.Sprintf("%d-dark", l.width)
	}
	return fmt.Sprintf("%d-light", l.width)
}

func (l look) height() int64 {
	switch l.width {
	case 360:
		return 740
	case 1280:
		return 800
	default:
		return 1080
	}
}

// tab is a page in the browser. Whatever its console reports as an error fails the test:
// what the Content-Security-Policy forbids is one.
type tab struct {
	t   *testing.T
	ctx context.Context
	g   *gateway
	// isRestarted allows that a connection is lost.
	isRestarted atomic.Bool
}

var (
	startBrowser sync.Once
	allocator    context.Context
)

// newBrowser starts the one browser of all tests. It ends with the process that runs them.
func newBrowser(t *testing.T) context.Context {
	startBrowser.Do(func() {
		path, err := findBrowser()
		if err != nil {
			t.Fatal(err)
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("force-color-profile", "srgb"))
		exec, _ := chromedp.NewExecAllocator(context.Background(), options...)
		allocator, _ = chromedp.NewContext(exec)
		if err := chromedp.Do(allocator); err != nil {
			t.Fatal(err)
		}
	})
	return allocator
}

func open(t *testing.T, g *gateway, l look, path string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(newBrowser(t))
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, g: g}
	// The first call opens the tab, which would end with the timeout of its context.
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	p.ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	p.must(chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		p.must(chromedp.CallBrowser(p.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted, Origin: g.admin}))
	}
	p.must(chromedp.Call(p.ctx, log.Enable, cdp.Empty{}))
	p.run(chromedp.EmulateViewport(l.width, l.height()), chromedp.Navigate(g.admin+path))
	return p
}

func (p *tab) must(_ cdp.Empty, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.t.Errorf("exception in the page: %+v", e.ExceptionDetails)
	case *log.EventEntryAdded:
		isLost := p.isRestarted.Load() && strings.Contains(e.Entry.Text, "net::ERR_")
		if string(e.Entry.Level) == "error" && !isLost && !strings.Contains(e.Entry.Text, "status of 4") {
			p.t.Errorf("error in the page: %s %s", e.Entry.Text, e.Entry.URL)
		}
	}
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.shoot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
		p.t.Fatal(err)
	}
}

// js evaluates an expression.
func (p *tab) js(expression string) string {
	p.t.Helper()
	result, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("(async () => String(await ("+expression+")))()", chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return result
}

// wait waits until an expression is true.
func (p *tab) wait(expression string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(15*time.Second), chromedp.WithPollingInterval(20*time.Millisecond)))
	if err != nil {
		p.shoot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
		p.t.Fatalf("never true: %s: %v\n%s", expression, err, p.js("document.body.innerText"))
	}
}

// waitText waits until an element shows a text.
func (p *tab) waitText(selector, text string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '').includes(%q)", selector, text))
}

func (p *tab) text(selector string) string {
	p.t.Helper()
	return p.js(fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

func (p *tab) press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.run(chromedp.KeyEvent(key))
	}
}

// search presses the key of the search box and types. The box is emptied first: the
// driver's key goes into it, which a real one does not.
func (p *tab) search(query string) {
	p.t.Helper()
	p.press("/")
	p.wait("document.activeElement.id === 'q'")
	p.js("document.querySelector('#q').select()")
	p.run(chromedp.KeyEvent(query))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.run(chromedp.Click(chromedp.CSS(selector)))
}

// button presses the button that is on view and says a text.
func (p *tab) button(text string) {
	p.t.Helper()
	p.run(chromedp.Click(fmt.Sprintf("//button[normalize-space()=%q and not(ancestor-or-self::*[@hidden])]", text)))
}

// choose picks an option of a list.
func (p *tab) choose(selector, value string) {
	p.t.Helper()
	p.js(fmt.Sprintf("(document.querySelector(%q).value = %q, document.querySelector(%q).dispatchEvent(new Event('change')))", selector, value, selector))
}

// hide has the page believe that nobody sees it: the browser has no window.
func (p *tab) hide(hidden bool) {
	p.t.Helper()
	p.js(fmt.Sprintf("(Object.defineProperty(document, 'hidden', { value: %t, configurable: true }), document.dispatchEvent(new Event('visibilitychange')))", hidden))
}

// shoot writes a screenshot if the tests are asked to keep them.
func (p *tab) shoot(name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Log(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644); err != nil {
		p.t.Error(err)
	}
}
