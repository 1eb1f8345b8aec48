// What connection-status-exporter's check does: net.DialTimeout of HOST:PORT by the protocol's own name, and up where
// there is no error. Reads a JSON array of sockets from stdin, and prints one of their verdicts in the same order.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

type socket struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
	// In seconds.
	Timeout int `json:"timeout"`
}

type verdict struct {
	Up    int    `json:"up"`
	Error string `json:"error"`
}

func dial(s socket) verdict {
	connection, err := net.DialTimeout(s.Protocol, fmt.Sprintf("%s:%d", s.Host, s.Port), time.Duration(s.Timeout)*time.Second)
	if err != nil {
		return verdict{0, err.Error()}
	}
	connection.Close()
	return verdict{Up: 1}
}

func main() {
	var sockets []socket
	if err := json.NewDecoder(os.Stdin).Decode(&sockets); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verdicts := make([]verdict, len(sockets))
	var dials sync.WaitGroup
	for at, each := range sockets {
		dials.Add(1)
		go func() {
			defer dials.Done()
			verdicts[at] = dial(each)
		}()
	}
	dials.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
