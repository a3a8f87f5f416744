#include "sidecar/topic/row_operation.hpp"

namespace anabranch {

char operation_letter(RowOperation operation) {
  switch (operation) {
    case RowOperation::insert:
      return 'c';
    case RowOperation::update:
      return 'u';
    case RowOperation::remove:
      return 'd';
    case RowOperation::truncate:
      return 't';
    case RowOperation::read:
      return 'r';
    case RowOperation::message:
      return 'm';
  }
  return '?';
}

}  // namespace anabranch
