// A second subgraph, which adds loyalty points to the shop's customers. It knows only their ids.
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginInlineTraceDisabled } from '@apollo/server/plugin/disabled';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';

export const typeDefs = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@shareable"])

  type Query {
    "The members of the loyalty program."
    loyaltyMembers: LoyaltyMembers!
  }

  type LoyaltyMembers {
    nodes: [Customer]!
    pageInfo: PageInfo!
  }

  "A type that the shop has as well."
  type PageInfo @shareable {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: String
    endCursor: String
  }

  type Customer @key(fields: "id") {
    id: ID!
    "The points that the customer has collected. Null for customers who are not members."
    loyaltyPoints: Int
  }
`);

// Starts the service on a free port. `points` has the points of each member, by id.
export async function startLoyalty(points) {
  const resolvers = {
    Query: {
      loyaltyMembers: () => ({
        nodes: Object.keys(points).map((id) => ({ id })),
        pageInfo: { hasNextPage: false, hasPreviousPage: false },
      }),
    },
    Customer: { loyaltyPoints: ({ id }) => points[id] },
  };
  const schema = buildSubgraphSchema({ typeDefs, resolvers });
  const server = new ApolloServer({ schema, plugins: [ApolloServerPluginInlineTraceDisabled()] });
  const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
  return { url, stop: () => server.stop() };
}
