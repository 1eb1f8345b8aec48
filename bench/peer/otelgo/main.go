// Exports FLOWS x 6 counters EXPORTS times to URL by OpenTelemetry's Go SDK and its OTLP/HTTP exporter, after one that
// does not count, and prints one line of JSON: the CPU of an export in us, and the peak of its resident memory in KB.
//
//	otelgo URL FLOWS EXPORTS
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// cpu is that of this process so far, in us.
func cpu() int64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return (used.Utime.Nano() + used.Stime.Nano()) / 1000
}

// peak is the most resident memory that this process had, in KB. Not getrusage's, which begins with that of the process
// that executed this one.
func peak() (kilobytes int) {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(after, &kilobytes)
	check(err)
	return kilobytes
}

// flow has the attributes of load.ts's connection.
func flow(index int) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(
		attribute.String("network.transport", "tcp"),
		attribute.String("network.type", "ipv4"),
		attribute.String("network.local.address", fmt.Sprintf("10.%d.%d.%d", index>>16, index>>8&255, index&255)),
		attribute.Int("network.local.port", 32768+index%28000),
		attribute.String("network.peer.address", fmt.Sprintf("198.51.%d.%d", index*7&255, index*13&255)),
		attribute.Int("network.peer.port", 443),
	))
}

func main() {
	url := os.Args[1]
	flows, err := strconv.Atoi(os.Args[2])
	check(err)
	exports, err := strconv.Atoi(os.Args[3])
	check(err)
	ctx := context.Background()
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(url), otlpmetrichttp.WithTimeout(time.Minute))
	check(err)
	reader := sdk.NewPeriodicReader(exporter, sdk.WithInterval(time.Hour), sdk.WithTimeout(time.Minute))
	provider := sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithCardinalityLimit(2*flows))
	meter := provider.Meter("sockscope")
	options := make([]metric.ObserveOption, flows)
	for index := range options {
		options[index] = flow(index).(metric.ObserveOption)
	}
	tick := int64(0)
	for number := range 6 {
		_, err := meter.Int64ObservableCounter(fmt.Sprintf("sockscope.bench.counter_%d", number),
			metric.WithInt64Callback(func(_ context.Context, observer metric.Int64Observer) error {
				for index, option := range options {
					observer.Observe(int64(number*1000003+index*1461)+tick*1000, option)
				}
				return nil
			}))
		check(err)
	}
	check(provider.ForceFlush(ctx))
	before := cpu()
	for range exports {
		tick++
		check(provider.ForceFlush(ctx))
	}
	fmt.Printf("{\"cpu\":%d,\"peak\":%d}\n", (cpu()-before)/int64(exports), peak())
}
