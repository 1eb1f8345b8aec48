// Telegraf's socketstat on its own: gathers TCP a number of times and prints one line of JSON: the CPU of a collection
// in us with that of the `ss` it starts, the peak of its own resident memory in KB, and the metrics of a collection. Or
// gathers once and prints the metrics, a line of JSON each.
//
//	telegraf COLLECTIONS
//	telegraf show PROTOCOL...
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/logger"
	"github.com/influxdata/telegraf/plugins/inputs/socketstat"
)

// counter is an accumulator that keeps nothing, which is less than Telegraf does.
type counter struct {
	telegraf.Accumulator
	metrics int
}

func (c *counter) AddFields(string, map[string]interface{}, map[string]string, ...time.Time) {
	c.metrics++
}

func (c *counter) AddError(err error) {
	die(err)
}

func die(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// cpu is that of this process and of its children so far, in us.
func cpu() (sum int64) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil {
			die(err)
		}
		sum += (used.Utime.Nano() + used.Stime.Nano()) / 1000
	}
	return sum
}

// peak is the most resident memory that this process had, in KB. Not getrusage's, which begins with that of the process
// that executed this one.
func peak() (kilobytes int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		die(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		die(err)
	}
	return kilobytes
}

func newPlugin(protocols []string) *socketstat.Socketstat {
	plugin := &socketstat.Socketstat{
		SocketProto: protocols,
		Timeout:     config.Duration(time.Minute),
		Log:         logger.New("inputs", "socketstat", ""),
	}
	if err := plugin.Init(); err != nil {
		die(err)
	}
	return plugin
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "show" {
		show(os.Args[2:])
		return
	}
	collections := 0
	if len(os.Args) == 2 {
		collections, _ = strconv.Atoi(os.Args[1])
	}
	if collections < 1 {
		die(fmt.Errorf("usage: %[1]s COLLECTIONS, or %[1]s show PROTOCOL...", os.Args[0]))
	}
	plugin := newPlugin([]string{"tcp"})
	acc := counter{}
	start := cpu()
	for range collections {
		acc.metrics = 0
		if err := plugin.Gather(&acc); err != nil {
			die(err)
		}
	}
	used := (cpu() - start) / int64(collections)
	fmt.Printf("{\"cpu\":%d,\"peak\":%d,\"metrics\":%d}\n", used, peak(), acc.metrics)
}
