// What deploy/kubernetes uses of RabbitmqCluster: RabbitMQ Cluster Kubernetes Operator, rabbitmq.com/v1beta1, as its
// API reference of release 2 documents it (github.com/rabbitmq/cluster-operator, docs/api/rabbitmq.com.ref.asciidoc).
export interface IRabbitmqCluster {
  apiVersion: 'rabbitmq.com/v1beta1';
  kind: 'RabbitmqCluster';
  metadata: { name: string; namespace?: string };
  spec: {
    replicas?: number;
    persistence?: { storageClassName?: string; storage?: string };
    resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
    rabbitmq?: { additionalPlugins?: string[]; additionalConfig?: string; advancedConfig?: string; envConfig?: string };
    affinity?: {
      podAntiAffinity?: {
        requiredDuringSchedulingIgnoredDuringExecution?: {
          topologyKey: string;
          labelSelector?: { matchLabels?: Record<string, string> };
        }[];
      };
    };
  };
}
