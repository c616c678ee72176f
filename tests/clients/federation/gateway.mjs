// Apollo's gateway over two subgraphs. It passes on who asks, the id of the request and its trace.
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { composeServices } from '@apollo/composition';

const PASSED_ON = ['authorization', 'x-request-id', 'traceparent'];

class Subgraph extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    for (const [name, value] of Object.entries(context.passedOn ?? {})) request.http.headers.set(name, value);
  }
}

// Composes subgraphs, each with `name`, `url` and `typeDefs`, to the supergraph that a gateway serves.
export function compose(subgraphs) {
  const { errors, supergraphSdl } = composeServices(subgraphs);
  if (errors?.length) throw new Error(`the subgraphs can't be composed:\n${errors.map(({ message }) => message).join('\n')}`);
  return supergraphSdl;
}

// Starts the gateway on a free port.
export async function startGateway(supergraphSdl) {
  const gateway = new ApolloGateway({ supergraphSdl, buildService: ({ url }) => new Subgraph({ url }) });
  const server = new ApolloServer({ gateway });
  const { url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: async ({ req }) => ({
      passedOn: Object.fromEntries(PASSED_ON.filter((name) => req.headers[name]).map((name) => [name, req.headers[name]])),
    }),
  });
  return { url, stop: () => server.stop() };
}
