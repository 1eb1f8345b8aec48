{{/* What the pods have in common. Each is a list of the root and the workload's name, which is also that of its values. */}}
{{- define "sockscope.pod.metadata" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}{{ $values := index $root.Values $name -}}
labels:
  {{- include "sockscope.labels" . | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # Another configuration makes other pods.
  checksum/config: {{ include (printf "sockscope.config.%s" $name) $root | sha256sum }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "sockscope.pod.spec" -}}
{{- $root := index . 0 }}{{ $values := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "sockscope.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
# What was measured is sent before it ends, within 5 s.
terminationGracePeriodSeconds: 15
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "sockscope.container" -}}
{{- $root := index . 0 }}{{ $values := index $root.Values (index . 1) }}{{ $image := $root.Values.image -}}
image: {{ printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
env:
  - name: HOST_IP
    valueFrom: { fieldRef: { fieldPath: status.hostIP } }
  - name: NODE_NAME
    valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
  - name: POD_NAME
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
  - name: POD_NAMESPACE
    valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
  - name: OTEL_RESOURCE_ATTRIBUTES
    value: k8s.node.name=$(NODE_NAME),k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE)
  {{- with $root.Values.collector.endpoint }}
  - name: OTEL_EXPORTER_OTLP_ENDPOINT
    value: {{ . | quote }}
  {{- end }}
  {{- with $root.Values.collector.headersSecret }}
  - name: OTEL_EXPORTER_OTLP_HEADERS
    valueFrom: { secretKeyRef: { name: {{ .name }}, key: {{ .key }} } }
  {{- end }}
  {{- with $values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
{{- end }}

{{/* Liveness by /livez alone: a collector that is away makes /healthz fail, and a restart would only lose the queue. */}}
{{- define "sockscope.health" -}}
livenessProbe:
  httpGet: { path: /livez, {{ . }} }
  initialDelaySeconds: 15
  periodSeconds: 15
  timeoutSeconds: 5
readinessProbe:
  httpGet: { path: /readyz, {{ . }} }
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}
